from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.launchers import launcher_folder
from tests.support.queues import files_in
from tests.support.running_queue import PATIENCE, private_home, queued, run_queue, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

GOOD = b"Fsue@x\0Tjoe@y\0\0"

# What a program that runs once for each message must not load; it pays for it every time.
HEAVY = {
    *("asyncio", "ssl", "argparse", "logging", "email", "re", "typing", "dataclasses", "enum"),
    *("socket", "signal", "collections", "functools", "contextlib", "subprocess", "tempfile"),
    *("pathlib", "shutil", "selectors", "inspect"),
}


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    with launcher_folder() as made:
        yield made


@pytest.fixture
def home() -> Iterator[str]:
    with private_home() as made:
        yield made


@pytest.fixture(params=["direct", "socket"])
def way(request: pytest.FixtureRequest, home: str, folder: str) -> Iterator[None]:
    """Run the test once without qmail-queued and once with it."""
    if request.param == "direct":
        yield
    else:
        with queued(home, folder):
            yield


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        (GOOD, 0),
        (b"Fa\0\0", 0),
        (b"F\0T\0\0", 0),
        (b"Fa\0Tb\0\0garbage", 0),
        (b"", 54),
        (b"Fa", 54),
        (b"Fa\0Tb\0", 54),
        (b"X", 91),
        (b"\0", 91),
        (b"Fa\0Xb\0\0", 91),
        (b"F" + b"a" * 1002 + b"\0\0", 0),
        (b"F" + b"a" * 1003 + b"\0\0", 11),
        (b"Fa\0T" + b"b" * 1003 + b"\0\0", 11),
    ],
)
@pytest.mark.usefixtures("way")
def test_the_exit_code_tells_what_became_of_the_message(
    home: str, folder: str, envelope: bytes, code: int
) -> None:
    for message in (b"hello\n", b"large\n" * 30_000):
        result = run_queue(folder, home, message, envelope)

        assert (result.returncode, result.stderr) == (code, b"")
    # A small and a large message: three files each, or no trace of any.
    assert len(files_in(home)) == (6 if code == 0 else 0)


@pytest.mark.usefixtures("way")
def test_the_message_is_what_was_read(home: str, folder: str) -> None:
    run_queue(folder, home, b"\0\xff\r\nno end", GOOD)

    (message,) = files_in(home, "mess").values()
    (envelope,) = files_in(home, "todo").values()
    uid, pid, rest = envelope.split(b"\0", 2)
    assert message.startswith(
        b"Received: (qmail %b invoked by uid %d); " % (pid.removeprefix(b"p"), os.getuid())
    )
    assert message.split(b"\n", 1)[1] == b"\0\xff\r\nno end"
    assert (uid, rest) == (b"u%d" % os.getuid(), b"Fsue@x\0Tjoe@y\0")


@pytest.mark.usefixtures("way")
def test_the_files_belong_to_the_owner_of_the_queue(home: str, folder: str) -> None:
    run_queue(folder, home, b"x", GOOD, umask=0o077)

    owner = os.stat(f"{home}/queue").st_uid
    for name in files_in(home):
        status = os.stat(f"{home}/queue/{name}")
        assert (status.st_uid, status.st_mode & 0o777) == (owner, 0o644)


@pytest.mark.usefixtures("way")
def test_a_closed_descriptor_is_a_read_error(home: str, folder: str) -> None:
    # No descriptor 1 at all, and then no descriptor 0 either.
    for closing in (">&-", "<&- >&-"):
        result = subprocess.run(
            ["/bin/sh", "-c", f"exec {folder}/qmail-queue {closing}"],
            env={"QMAILHOME": home},
            input=b"",
            stderr=subprocess.PIPE,
            check=False,
        )
        assert result.returncode == 54
    wait_until(lambda: files_in(home) == {})


def test_a_missing_home_or_queue_has_its_exit_code(home: str, folder: str) -> None:
    os.rename(f"{home}/queue", f"{home}/gone")

    assert run_queue(folder, home, b"", GOOD).returncode == 62
    assert run_queue(folder, f"{home}/nowhere", b"", GOOD).returncode == 61


@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE])
def test_a_terminal_cannot_stop_it(home: str, folder: str, ignored: int) -> None:
    process, writer = start_waiting(home, folder)

    process.send_signal(ignored)
    os.write(writer, b"Fa\0\0")
    os.close(writer)

    assert process.wait(PATIENCE) == 0


def test_term_stops_it_and_leaves_nothing(home: str, folder: str) -> None:
    process, writer = start_waiting(home, folder)

    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE) == -signal.SIGTERM
    assert files_in(home) == {}
    os.close(writer)


def start_waiting(home: str, folder: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a qmail-queue that has read a large message and waits for the envelope."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [f"{folder}/qmail-queue"],
        env={"QMAILHOME": home},
        stdin=subprocess.PIPE,
        stdout=reader,
    )
    os.close(reader)
    assert process.stdin is not None
    process.stdin.write(b"large\n" * 30_000)
    process.stdin.close()
    wait_until(lambda: files_in(home))
    return process, writer


def test_it_loads_nothing_heavy() -> None:
    script = (
        "import sys; import pyqmail.programs.qmail_queue, pyqmail.queue.client;"
        "print(' '.join(sys.modules))"
    )
    source = os.path.dirname(os.path.dirname(sys.modules["pyqmail"].__file__))
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({source!r}); {script}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert HEAVY.isdisjoint(result.stdout.split())
