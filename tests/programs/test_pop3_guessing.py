"""Whoever guesses learns nothing from what is said or how long it takes, and not often."""

from __future__ import annotations

import os
import select
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.support.pop3 import PASSWORD, PopServer, login_commands
from tests.support.tcpserver import PATIENCE, read_all

from pyqmail.login.guesses import MAX_OF_ADDRESS, MAX_OF_NAME, MIN_DELAY, Guesses

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("pop3 under tcpserver")]

HERE = b"127.0.0.1"
BLOCKED = 5


@pytest.fixture(scope="module")
def shared(launchers: str) -> Iterator[PopServer]:
    with PopServer(launchers) as server:
        yield server


@pytest.fixture
def server(shared: PopServer) -> PopServer:
    shared.forget_guesses()
    return shared


def guess(server: PopServer, name: bytes, source: str | None = None) -> tuple[bytes, float]:
    """Try a wrong password; return what is said without the challenge, and the time it takes."""
    start = time.monotonic()
    with server.tcpserver.connect(source=source) as connection:
        connection.sendall(b"CAPA\r\nUSER " + name + b"\r\nPASS wrong\r\n")
        said = read_all(connection)
    return said.split(b"\r\n", 1)[1], time.monotonic() - start


def test_a_name_that_nobody_has_looks_like_one_that_somebody_has(server: PopServer) -> None:
    known, slow = guess(server, b"joe")
    server.forget_guesses()
    unknown, also_slow = guess(server, b"nobody-here")

    assert known == unknown
    assert known.endswith(b"-ERR [AUTH] authorization failed\r\n")
    assert min(slow, also_slow) >= MIN_DELAY  # longer than any check: it hides how long that was


def right_password(server: PopServer, source: str | None = None) -> bytes:
    with server.tcpserver.connect(source=source) as connection:
        connection.sendall(b"CAPA\r\n" + login_commands())
        return connection.makefile("rb").read().rpartition(b"\r\n.\r\n+OK \r\n")[2]


def fail_often(server: PopServer, address: bytes, name: bytes, times: int) -> None:
    guesses = Guesses(server.home.path)
    for _ in range(times):
        guesses.begin(address, name, time.time())


def test_an_address_that_failed_often_is_not_even_heard(server: PopServer) -> None:
    fail_often(server, HERE, b"somebody else", MAX_OF_ADDRESS)

    assert right_password(server) == b"-ERR [SYS/TEMP] authorization failed\r\n"


def test_a_name_that_was_tried_often_is_closed_to_strangers_and_open_to_friends(
    server: PopServer,
) -> None:
    friend, stranger = "127.0.0.1", "127.0.0.2"
    with server.session() as client:
        assert client.stat() == (0, 0)
    for number in range(MAX_OF_NAME):
        fail_often(server, b"192.0.2.%d" % number, b"joe", 1)

    assert right_password(server, stranger) == b"-ERR [SYS/TEMP] authorization failed\r\n"
    with server.tcpserver.connect(source=friend) as connection:
        connection.sendall(login_commands() + b"STAT\r\nQUIT\r\n")
        assert read_all(connection).endswith(b"+OK 0 0\r\n+OK \r\n")


def test_guesses_at_the_same_time_count_each(server: PopServer) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(MAX_OF_ADDRESS + BLOCKED)]
        heard = dict.fromkeys(clients, b"")
        for client in clients:
            client.sendall(b"CAPA\r\nUSER joe\r\nPASS wrong\r\n")

        # Those that are too many are refused at once; the others wait longer and longer.
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and refused(heard) < BLOCKED:
            for client in select.select(clients, [], [], PATIENCE)[0]:
                piece = client.recv(10000)
                heard[client] += piece
                if not piece:
                    clients.remove(client)

    assert refused(heard) == BLOCKED
    assert sum(b"[AUTH]" in said for said in heard.values()) < MAX_OF_ADDRESS


def refused(heard: Mapping[socket.socket, bytes]) -> int:
    """Return how many were not even heard."""
    return sum(b"[SYS/TEMP]" in said for said in heard.values())


def test_passwords_are_in_no_list_of_processes_and_in_no_log(server: PopServer) -> None:
    with server.session() as client:
        assert client.stat() == (0, 0)
        for pid in server.tcpserver.processes():
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                assert PASSWORD not in file.read()
            if os.getuid() == 0:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    assert PASSWORD not in file.read()

    assert PASSWORD.decode() not in "\n".join(server.tcpserver.lines())
