"""The front of a POP3 server, with a porter in memory."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from tests.support.sessions import MemoryStream

from pyqmail.errors import TransientFailure
from pyqmail.retrieval import login
from pyqmail.retrieval.login import EXIT_STATUS, Services, serve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyqmail.system.streams import Stream

GREETING = b"+OK <1.2@host>\r\n"


class MemoryVisit:
    """A session that says `said` and ends with `status`."""

    def __init__(self, said: bytes, status: int) -> None:
        self.said = said
        self.is_over = False
        self.connection, self._other = socket.socketpair()
        self._status = status
        self.closed = 0

    async def next_challenge(self) -> bytes | None:
        return None

    async def respond(self, data: bytes) -> None:
        raise AssertionError(data)

    async def exit_status(self) -> int:
        return self._status

    def close(self) -> None:
        self.closed += 1
        self.connection.close()
        self._other.close()


class MemoryEntrance:
    """Lets everybody in, and notes who asked; or is not there."""

    def __init__(self, status: int = 0, *, absent: bool = False) -> None:
        self.visits: list[MemoryVisit] = []
        self.asked: list[tuple[bytes, ...]] = []
        self._status = status
        self._absent = absent

    async def mechanisms(self) -> tuple[bytes, ...]:
        self._check()
        return (b"PLAIN", b"X")

    async def by_password(
        self, _environ: Mapping[bytes, bytes], name: bytes, password: bytes, challenge: bytes
    ) -> MemoryVisit:
        self._check()
        self.asked.append((name, password, challenge))
        return self._visit()

    async def by_mechanism(
        self, _environ: Mapping[bytes, bytes], mechanism: bytes, initial: bytes | None
    ) -> MemoryVisit:
        self.asked.append((mechanism, initial or b""))
        return self._visit()

    def _visit(self) -> MemoryVisit:
        self.visits.append(MemoryVisit(b"+OK \r\n" if not self._status else b"", self._status))
        return self.visits[-1]

    def _check(self) -> None:
        if self._absent:
            raise TransientFailure(b"nobody")


class Front:
    """Runs sessions; `log` is what the administrator reads, `carried` what went in first."""

    def __init__(self, home: Path, entrance: MemoryEntrance) -> None:
        self.home = home
        (home / "control").mkdir(exist_ok=True)
        self.entrance = entrance
        self.log: list[bytes] = []
        self.carried: list[bytes] = []

    def hold(self, *said: bytes, patient: bool = False, **environ: str) -> bytes:
        """Return all that a client hears who says these pieces."""
        stream = MemoryStream(said, patient=patient)
        services = Services(self.entrance, self._carry, None, self.log.append)
        variables = {name.encode(): value.encode() for name, value in environ.items()}
        status = asyncio.run(serve(str(self.home), variables, stream, b"<1.2@host>", services))
        assert status == EXIT_STATUS
        return stream.transcript()

    async def _carry(self, stream: Stream, _connection: socket.socket, first: bytes) -> None:
        self.carried.append(first)
        await stream.write(self.entrance.visits[-1].said)


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(tmp_path, MemoryEntrance())


def test_a_login_becomes_a_session_that_gets_what_came_behind_it(front: Front) -> None:
    heard = front.hold(b"USER joe\r\nPASS x\r\nSTAT\r\n")

    assert heard == GREETING + b"+OK \r\n+OK \r\n"
    assert front.entrance.asked == [(b"joe", b"x", b"<1.2@host>")]
    assert front.carried == [b"STAT\r\n"]
    assert front.entrance.visits[0].closed == 1


@pytest.mark.parametrize(
    ("status", "plain", "code"),
    [
        (1, b"authorization failed", b"[AUTH] "),
        (111, b"authorization failed", b"[SYS/TEMP] "),
        (-11, b"aack, child crashed", b"[SYS/TEMP] "),
    ],
)
def test_how_a_session_ended_is_told_with_a_code_to_who_knows_codes(
    tmp_path: Path, status: int, plain: bytes, code: bytes
) -> None:
    front = Front(tmp_path, MemoryEntrance(status))

    assert front.hold(b"APOP a b\r\n").endswith(b"-ERR " + plain + b"\r\n")
    assert front.hold(b"CAPA\r\nAPOP a b\r\n").endswith(b"-ERR " + code + plain + b"\r\n")


def test_without_a_porter_the_client_may_try_again(tmp_path: Path) -> None:
    front = Front(tmp_path, MemoryEntrance(absent=True))

    heard = front.hold(b"USER a\r\nPASS b\r\nCAPA\r\nQUIT\r\n")

    refused = b"-ERR unable to check the password\r\n"
    assert heard == GREETING + b"+OK \r\n" + refused + refused + b"+OK \r\n"
    assert front.log == [b"nobody", b"nobody"]


def test_who_takes_too_long_is_left_without_a_word(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "TIMEOUT", 0.05)

    assert front.hold(b"USER a\r\n", patient=True) == GREETING + b"+OK \r\n"


def test_tls_from_the_start_needs_a_certificate(front: Front) -> None:
    assert front.hold(b"USER a\r\n", POP3S="") == b""


def test_a_broken_control_file_is_for_the_log(front: Front) -> None:
    (front.home / "control" / "popsecure").write_text("yes\n")

    assert front.hold(b"USER a\r\n") == b""
    (line,) = front.log
    assert b"popsecure" in line


def test_a_mechanism_that_is_not_offered_is_refused(front: Front) -> None:
    assert front.hold(b"AUTH CRAM-MD5\r\n").endswith(b"-ERR no such mechanism\r\n")


def test_another_mechanism_is_spoken_by_who_lets_in(front: Front) -> None:
    assert front.hold(b"AUTH x =\r\nLIST\r\n").endswith(b"+OK \r\n")
    assert front.entrance.asked == [(b"X", b"")]
    assert front.carried == [b"LIST\r\n"]
