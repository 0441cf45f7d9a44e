from __future__ import annotations

import os
import resource
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.commands import MESSAGE

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process


@pytest.fixture
def home(commands: Commands) -> Path:
    path = commands.top / "home"
    path.mkdir(mode=0o755)
    return path


def deliver(
    commands: Commands, *options: str, ext: str | None = None, message: bytes = MESSAGE
) -> subprocess.CompletedProcess[bytes]:
    local, dash = ("joe", "") if ext is None else (f"joe-{ext}", "-")
    return commands.run(
        "qmail-local",
        *options,
        *("joe", f"{commands.top}/home", local, dash, ext or ""),
        *("example.org", "s@x", "./Mailbox"),
        message=message,
    )


def test_a_delivery_says_what_it_did(commands: Commands, home: Path) -> None:
    (home / ".qmail").write_text("./Mailbox\n|echo out\n&ann@x\nbob@x\n")

    done = deliver(commands)

    out, did, qp = done.stdout.splitlines()
    assert (done.returncode, out, did, qp[:3]) == (0, b"out", b"did 1+2+1", b"qp ")
    assert commands.queued() == [
        (b"Delivered-To: joe@example.org\n" + MESSAGE, b"Fs@x\0Tann@x\0Tbob@x\0\0")
    ]


def test_mailboxes_are_private_whatever_the_umask(commands: Commands, home: Path) -> None:
    deliver(commands)

    assert stat.S_IMODE((home / "Mailbox").stat().st_mode) == 0o600


def test_a_program_sees_the_address_and_the_extension(commands: Commands, home: Path) -> None:
    (home / ".qmail-a-default").write_text(
        "|echo $USER $LOCAL $HOST $HOST2 $RECIPIENT $EXT $EXT2 $EXT3 $DEFAULT $SENDER; pwd\n"
    )

    done = deliver(commands, ext="a-B-c")

    variables = "joe joe-a-B-c example.org example joe-a-B-c@example.org a-B-c B-c c B-c s@x"
    assert done.stdout == f"{variables}\n{home}\ndid 0+0+1\n".encode()


def test_a_program_dies_of_sigpipe_as_in_a_shell(commands: Commands, home: Path) -> None:
    (home / ".qmail").write_text("|yes | head -n 1\n")

    assert deliver(commands).stdout == b"y\ndid 0+0+1\n"


def test_a_test_run_tells_and_delivers_nothing(commands: Commands, home: Path) -> None:
    (home / ".qmail").write_text("./Maildir/\n./box\n|prog\n&ann@x\n")

    done = deliver(commands, "-n")

    assert done.stdout == (
        b"maildir ./Maildir/\nmbox ./box\nprogram prog\nforward ann@x\ndid 2+1+1\n"
    )
    assert os.listdir(home) == [".qmail"]
    assert commands.queued() == []


def test_wrong_usage_is_a_permanent_failure(commands: Commands) -> None:
    done = commands.run("qmail-local", "joe")

    assert done.returncode == 100
    assert done.stderr.startswith(b"qmail-local: usage: ")


@pytest.mark.usefixtures("home")
def test_a_failure_is_told_without_the_name_of_the_program(commands: Commands) -> None:
    done = deliver(commands, ext="x")

    text = b"Sorry, no mailbox here by that name. (#5.1.1)\n"
    assert (done.returncode, done.stdout, done.stderr) == (100, b"", text)


def test_a_file_of_10000_forwards_is_one_message(commands: Commands, home: Path) -> None:
    addresses = [f"someone-with-a-long-name-{number}@list.example.net" for number in range(10_000)]
    (home / ".qmail").write_text("\n".join(addresses))

    before = processor_time()
    done = deliver(commands)
    taken = processor_time() - before

    assert done.stdout.startswith(b"did 0+10000+0\n")
    ((_, envelope),) = commands.queued()
    assert envelope.count(b"\0T") == 10_000
    assert taken < 2  # seconds; a hundredth of it here, but shared machines are slow


def test_a_thousand_files_do_not_slow_a_delivery(commands: Commands, home: Path) -> None:
    for number in range(1000):
        (home / f".qmail-{number}").write_text("|exit 100\n")
    (home / ".qmail-default").write_text("|exit 0\n")

    before = processor_time()
    done = deliver(commands, ext="-".join("x" * 500))
    taken = processor_time() - before

    assert done.stdout == b"did 0+0+1\n"
    assert taken < 2


def processor_time() -> float:
    """Return the processor time of all children so far, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
