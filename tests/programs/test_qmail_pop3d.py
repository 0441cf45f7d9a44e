"""What happens to a Maildir while a session looks at it; see pop3.jsonl for all the rest."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.children import NOBODY
from tests.support.places import ordinary_place

from pyqmail.mailbox.maildir import make_maildir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

OLD = 1000000000


class Mailbox:
    """A Maildir, and sessions that read it."""

    def __init__(self, launchers: str, place: Path) -> None:
        self.path = place / "Maildir"
        make_maildir(str(self.path))
        for path in (self.path, *self.path.iterdir()):
            self._own(path)
        self._program = f"{launchers}/qmail-pop3d"
        self._sessions: list[Session] = []

    def deliver(self, name: str, message: bytes) -> Path:
        """Put a message into new/."""
        path = self.path / "new" / name
        path.write_bytes(message)
        self._own(path)
        os.utime(path, (OLD, OLD))
        return path

    def files(self) -> list[str]:
        """Return what lies there."""
        return sorted(f"{path.parent.name}/{path.name}" for path in self.path.glob("*/*"))

    def session(self) -> Session:
        """Begin a session."""
        options: dict[str, Any] = {}
        if os.getuid() == 0:
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        process = subprocess.Popen(
            [self._program, "Maildir"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.path.parent,
            env={"PATH": os.defpath},
            **options,
        )
        self._sessions.append(Session(process))
        return self._sessions[-1]

    def close(self) -> None:
        """End all sessions."""
        for session in self._sessions:
            session.leave()

    @staticmethod
    def _own(path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY)


class Session:
    """A client of one session."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert self.hear() == b"+OK \r\n"

    def say(self, command: bytes) -> bytes:
        """Return the first line of the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + b"\r\n")
        self._process.stdin.flush()
        return self.hear()

    def leave(self) -> bytes:
        """Break off; return all that was still said."""
        if self._process.returncode is not None:
            return b""
        answer, _ = self._process.communicate(timeout=20)
        assert self._process.returncode == 0
        return answer

    def hear(self) -> bytes:
        """Return the next line that is said."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture
def mailbox(launchers: str) -> Iterator[Mailbox]:
    with ordinary_place() as place:
        made = Mailbox(launchers, place)
        yield made
        made.close()


def test_a_message_that_vanishes_cannot_be_read_or_deleted(mailbox: Mailbox) -> None:
    path = mailbox.deliver("1.a.host", b"x\n")
    session = mailbox.session()
    path.unlink()

    assert session.say(b"RETR 1") == b"-ERR unable to open that message\r\n"
    assert session.say(b"DELE 1") == b"+OK \r\n"
    assert session.say(b"QUIT") == b"-ERR unable to unlink all deleted messages\r\n"
    assert session.hear() == b"+OK \r\n"


def test_a_message_that_another_reader_moved_is_left_alone(mailbox: Mailbox) -> None:
    path = mailbox.deliver("1.a.host", b"x\n")
    session = mailbox.session()
    path.rename(mailbox.path / "cur" / "1.a.host:2,S")

    assert session.say(b"QUIT") == b"+OK \r\n"
    session.leave()
    assert mailbox.files() == ["cur/1.a.host:2,S"]


def test_mail_that_comes_during_a_session_is_for_the_next(mailbox: Mailbox) -> None:
    session = mailbox.session()
    mailbox.deliver("1.a.host", b"x\n")

    assert session.say(b"STAT") == b"+OK 0 0\r\n"
    session.say(b"QUIT")
    session.leave()
    assert mailbox.files() == ["new/1.a.host"]
    assert mailbox.session().say(b"STAT") == b"+OK 1 2\r\n"


def test_two_sessions_at_once_lose_nothing_that_neither_deleted(mailbox: Mailbox) -> None:
    for number in (1, 2, 3):
        mailbox.deliver(f"{number}.a.host", b"x\n")
    one, other = mailbox.session(), mailbox.session()
    one.say(b"DELE 1")
    other.say(b"DELE 3")

    assert one.say(b"QUIT") == b"+OK \r\n"
    one.leave()
    assert other.say(b"QUIT") == b"+OK \r\n"
    other.leave()

    assert mailbox.files() == ["cur/2.a.host:2,"]


def test_a_message_that_got_flags_meanwhile_is_found_again(mailbox: Mailbox) -> None:
    path = mailbox.deliver("1.a.host", b"x\n")
    session = mailbox.session()
    path.rename(mailbox.path / "cur" / "1.a.host:2,FS")

    assert session.say(b"RETR 1") == b"+OK \r\n"
    assert session.hear() == b"x\r\n"
    assert (session.hear(), session.hear()) == (b"\r\n", b".\r\n")
    session.say(b"DELE 1")
    assert session.say(b"QUIT") == b"+OK \r\n"
    session.leave()
    assert mailbox.files() == []


def test_who_breaks_off_deletes_nothing(mailbox: Mailbox) -> None:
    mailbox.deliver("1.a.host", b"x\n")
    session = mailbox.session()
    session.say(b"DELE 1")

    assert session.leave() == b""

    assert mailbox.files() == ["new/1.a.host"]


def test_numbers_stay_the_same_from_session_to_session(mailbox: Mailbox) -> None:
    for number in range(9, 0, -1):
        mailbox.deliver(f"{number}.a.host", b"x\n")
    first = mailbox.session()
    numbers = [first.say(b"UIDL %d" % number) for number in range(1, 10)]
    first.say(b"QUIT")
    first.leave()

    second = mailbox.session()

    assert [second.say(b"UIDL %d" % number) for number in range(1, 10)] == numbers
    assert numbers[0] == b"+OK 1 1.a.host\r\n"
