"""Lines and commands without end cost a bounded amount of memory, before the login and after it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import resident
from tests.support.pop3 import PopServer, login_commands

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("pop3 under tcpserver")]

PIECE = b"x" * 65536
PIECES = 400  # 25 MB
MOST_MEMORY = 4 << 20


@pytest.fixture(scope="module")
def server(launchers: str) -> Iterator[PopServer]:
    with PopServer(launchers) as server:
        yield server


def memory(server: PopServer) -> int:
    return sum(resident(pid) for pid in server.tcpserver.processes())


@pytest.mark.parametrize("before", [b"", login_commands()])
def test_a_line_without_end_is_refused_when_it_ends(server: PopServer, before: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(before + b"NOOP\r\n")
        heard = b""
        while heard.count(b"+OK") < (4 if before else 2):
            heard += connection.recv(1000)
        start = memory(server)
        for _ in range(PIECES):
            connection.sendall(PIECE)
        grown = memory(server) - start
        connection.sendall(b"\r\nQUIT\r\n")
        said = connection.makefile("rb").read()

    assert said == b"-ERR line too long\r\n+OK \r\n"
    assert grown < MOST_MEMORY


def test_who_never_logs_in_cannot_talk_for_ever(server: PopServer) -> None:
    with server.connect() as connection:
        with suppress(ConnectionError):
            connection.sendall(b"NOOP\r\n" * 5000)
        said = connection.makefile("rb").read()

    assert said.count(b"+OK \r\n") < 200
    assert said.endswith(b"-ERR too many commands\r\n")
