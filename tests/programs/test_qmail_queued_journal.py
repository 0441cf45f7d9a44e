"""qmail-queued with its journal, as processes: killed, ended, and started after a boot."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from tests.support.launchers import launcher_folder
from tests.support.queues import files_in
from tests.support.running_queue import (
    PATIENCE,
    answers_at,
    private_home,
    queued,
    run_queue,
    start_queued,
    wait_until,
)

from pyqmail.queue import journal_use
from pyqmail.queue.client import QueueClient
from pyqmail.queue.journal import WORTH_A_JOURNAL, read_frames
from pyqmail.system.file_system import FileSystem

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = pytest.mark.process

SENDER = b"sue@example.net"
MANY = WORTH_A_JOURNAL + 50


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    with launcher_folder() as made:
        yield made


@pytest.fixture
def home() -> Iterator[str]:
    with private_home() as made:
        queue = f"{made}/queue"
        try:
            FileSystem([f"{queue}/journal", f"{queue}/pid"]).close()
        except OSError:
            pytest.skip("temporary files lie on a file system that gets no journal")
        yield made


def accept(home: str, count: int, name: str = "m") -> list[bytes]:
    """Have messages accepted one after the other; return the lines that tell them apart."""
    lines = [b"%b%d" % (name.encode(), number) for number in range(count)]
    for line in lines:
        client = QueueClient({b"QMAILHOME": os.fsencode(home)})
        client.write(line + b"\n")
        client.commit(SENDER, [b"to-" + line])
    return lines


def queued_lines(home: str) -> list[bytes]:
    """Return the lines of all messages in the queue, each with its own envelope."""
    found = files_in(home, "mess", "todo")
    lines = []
    for path, envelope in found.items():
        if path.startswith("todo/"):
            number = int(path.removeprefix("todo/"))
            line = found[f"mess/{number % 23}/{number}"].split(b"\n")[1]
            assert envelope.endswith(b"\0F" + SENDER + b"\0Tto-" + line + b"\0")
            lines.append(line)
    return lines


def kept_in_journal(home: str) -> int:
    return sum(len(frame) for frame in read_frames(f"{home}/queue").values())


def start_journal(home: str) -> list[bytes]:
    """Send messages until there is a journal, and some in it."""
    lines = accept(home, MANY)
    wait_until(lambda: os.path.exists(f"{home}/queue/journal/use"))
    return lines + accept(home, 20, "n")


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate(timeout=PATIENCE)


def another_boot(home: str) -> None:
    """Make the journal look as if the machine had been started since."""
    path = f"{home}/queue/journal/use"
    with open(path, "rb") as file:
        text = file.read()
    with open(path, "wb") as file:
        file.write(text.replace(journal_use.boot_id(), b"another-boot"))


def recovered(home: str, folder: str) -> bytes:
    """Start qmail-queued, have it take the message `after`, and end it; return what it says."""
    process = started(home, folder)
    accept(home, 1, "after")
    process.send_signal(signal.SIGTERM)
    _, complaints = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return complaints


def started(home: str, folder: str) -> subprocess.Popen[bytes]:
    process = start_queued(home, folder)
    wait_until(lambda: answers_at(home), process)
    return process


def test_a_home_that_gets_few_messages_has_no_journal(home: str, folder: str) -> None:
    with queued(home, folder):
        accept(home, 20)

    assert os.listdir(f"{home}/queue/journal") == []


def test_an_orderly_end_leaves_nothing_in_the_journal(home: str, folder: str) -> None:
    with queued(home, folder):
        lines = start_journal(home)
        assert journal_use.is_used(f"{home}/queue")

    assert kept_in_journal(home) == 0
    assert sorted(os.listdir(f"{home}/queue/journal")) == ["0", "1"]
    assert sorted(queued_lines(home)) == sorted(lines)


def test_after_it_was_killed_every_message_is_there_once(home: str, folder: str) -> None:
    process = started(home, folder)
    lines = start_journal(home)
    wait_until(lambda: bool(kept_in_journal(home) or accept_one_more(home, lines)))
    kill(process)

    complaints = recovered(home, folder)

    assert complaints == b"", "nothing had to be made again"
    assert not journal_use.is_used(f"{home}/queue")
    assert sorted(queued_lines(home)) == sorted([*lines, b"after0"])


def accept_one_more(home: str, lines: list[bytes]) -> None:
    """A checkpoint came just now: put another message into the journal."""
    lines += accept(home, 1, f"o{len(lines)}-")


def test_after_a_boot_what_the_disk_has_lost_is_made_again(home: str, folder: str) -> None:
    process = started(home, folder)
    start_journal(home)
    wait_until(lambda: bool(kept_in_journal(home) or accept_one_more(home, [])))
    kill(process)
    kept = {
        line_of(entry.message) for frame in read_frames(f"{home}/queue").values() for entry in frame
    }
    another_boot(home)
    for part in range(23):
        shutil.rmtree(f"{home}/queue/mess/{part}")
        os.mkdir(f"{home}/queue/mess/{part}")
        shutil.chown(f"{home}/queue/mess/{part}", os.stat(home).st_uid)
    for path in files_in(home, "todo", "intd"):
        os.unlink(f"{home}/queue/{path}")

    complaints = recovered(home, folder)

    assert kept
    assert set(queued_lines(home)) == kept | {b"after0"}
    text = b"qmail-queued: recovered: %d messages in the journal, %d made again as files\n"
    assert complaints == text % (len(kept), len(kept))
    assert recovered(home, folder) == b"", "only once"


def line_of(message: bytes) -> bytes:
    return message.split(b"\n")[1]


def test_nobody_writes_into_the_queue_himself_before_it_is_mended(home: str, folder: str) -> None:
    with open(f"{home}/queue/journal/use", "wb") as file:
        file.write(b"another-boot 00000000000000000000\n")
    letter = b"hello\n", b"Fa@b\0Tc@d\0\0"

    refused = run_queue(folder, home, *letter).returncode
    in_queue = files_in(home)
    recovered(home, folder)
    accepted = run_queue(folder, home, *letter).returncode

    assert (refused, accepted) == (62, 0)
    assert in_queue == {}


def test_a_journal_that_cannot_be_recovered_stops_it_with_the_reason(
    home: str, folder: str
) -> None:
    with open(f"{home}/queue/journal/use", "wb") as file:
        file.write(b"another-boot 00000000000000000001\n")
    os.mkdir(f"{home}/queue/journal/0")

    process = start_queued(home, folder)
    _, complaints = process.communicate(timeout=PATIENCE)

    assert process.returncode == 111
    assert complaints == (
        b"qmail-queued: fatal: unable to recover messages from %b/queue/journal: Is a directory\n"
        % home.encode()
    )
