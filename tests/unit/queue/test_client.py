from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import files_in, make_home

from pyqmail.errors import Failure, PermanentFailure, TransientFailure
from pyqmail.queue.client import QueueClient

if TYPE_CHECKING:
    from pathlib import Path

KEEP = "cat > message; cat <&1 > envelope; pwd > where; "


@pytest.fixture
def home(tmp_path: Path) -> str:
    return make_home(str(tmp_path / "home"))


def client(home: str, script: str | None = None) -> QueueClient:
    """Return a client whose qmail-queue is a shell script, or our own."""
    environ = {b"QMAILHOME": os.fsencode(home), b"PATH": os.fsencode(os.defpath)}
    if script is not None:
        with open(f"{home}/substitute", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(f"{home}/substitute", 0o755)
        environ[b"QMAILQUEUE"] = b"./substitute"  # it is looked up from the home
    return QueueClient(environ)


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def failure_of(queue: QueueClient) -> Failure:
    with pytest.raises(Failure) as caught:
        queue.commit(b"a", [b"b"])
    return caught.value


@pytest.mark.skipif(os.getuid() == 0, reason="root owns the home and so needs the accounts")
def test_without_a_daemon_the_owner_writes_himself(home: str) -> None:
    queue = client(home)
    queue.write(b"hello\n")

    assert queue.commit(b"a@b", [b"c@d"]) == os.getpid()

    (message,) = files_in(home, "mess").values()
    assert message.endswith(b"\nhello\n")


def test_a_program_in_its_place_gets_message_and_envelope(home: str) -> None:
    queue = client(home, KEEP)
    queue.write(b"hello\n")
    queue.write(b"x" * 200_000)

    number = queue.commit(b"a@b", [b"c@d", b"e"])

    assert number > 0
    assert read(f"{home}/message") == b"hello\n" + b"x" * 200_000
    assert read(f"{home}/envelope") == b"Fa@b\0Tc@d\0Te\0\0"
    assert read(f"{home}/where") == os.fsencode(os.path.realpath(home)) + b"\n"


def test_a_file_is_copied_from_where_it_stands(home: str, tmp_path: Path) -> None:
    (tmp_path / "letter").write_bytes(b"skipped\n" + b"kept\n" * 50_000)
    queue = client(home, KEEP)

    with open(tmp_path / "letter", "rb", buffering=0) as file:
        file.seek(8)
        queue.copy_from(file.fileno())
    queue.commit(b"a", [])

    assert read(f"{home}/message") == b"kept\n" * 50_000


def test_a_failed_message_has_no_envelope(home: str) -> None:
    queue = client(home, KEEP)
    queue.write(b"half")
    queue.fail()

    assert failure_of(queue).text == b"qq read error (#4.3.0)"
    assert read(f"{home}/message") == b"half"
    assert read(f"{home}/envelope") == b""


@pytest.mark.parametrize(
    ("script", "kind", "text"),
    [
        ("exit 31", PermanentFailure, b"mail server permanently rejected message (#5.3.0)"),
        ("exit 53", TransientFailure, b"qq write error or disk full (#4.3.0)"),
        ("exit 1", TransientFailure, b"qq temporary problem (#4.3.0)"),
        ("kill -9 $$", TransientFailure, b"qq crashed (#4.3.0)"),
        ("printf 'Dspam (#5.7.1)' >&6; exit 82", PermanentFailure, b"spam (#5.7.1)"),
        ("printf 'Zbusy (#4.7.1)' >&6; exit 82", TransientFailure, b"busy (#4.7.1)"),
        ("exit 82", TransientFailure, b"qq temporary problem (#4.3.0)"),
    ],
)
def test_what_a_program_says_is_reported(home: str, script: str, kind: type, text: bytes) -> None:
    queue = client(home, f"cat >/dev/null; cat <&1 >/dev/null; {script}")

    failure = failure_of(queue)

    assert (type(failure), failure.text) == (kind, text)


def test_success_of_a_program_that_did_not_read_is_no_success(home: str) -> None:
    queue = client(home, "exit 0")
    for _ in range(100):
        queue.write(b"x" * 65536)

    assert failure_of(queue).text == b"qq read error (#4.3.0)"


def test_a_program_that_is_not_there_cannot_be_run(home: str) -> None:
    queue = client(home, "exit 0")
    os.unlink(f"{home}/substitute")
    missing = QueueClient({b"QMAILHOME": os.fsencode(home), b"QMAILQUEUE": b"/does/not/exist"})

    assert failure_of(missing).text == b"unable to exec qq (#4.3.0)"
    queue.fail()


def test_a_replaced_qmail_queue_is_executed(home: str) -> None:
    os.mkdir(f"{home}/bin")
    with open(f"{home}/bin/qmail-queue", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n" + KEEP)
    os.chmod(f"{home}/bin/qmail-queue", 0o755)
    queue = client(home)
    queue.write(b"hello\n")

    queue.commit(b"a", [])

    assert read(f"{home}/message") == b"hello\n"
