"""Connections that end in the middle of something delete nothing and leave nothing behind."""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import resident
from tests.support.pop3 import PopServer, login_commands
from tests.support.tcpserver import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("pop3 under tcpserver")]

LARGE = 64 << 20
LINGER_NOT = struct.pack("ii", 1, 0)  # close() resets the connection


@pytest.fixture(scope="module")
def shared(launchers: str) -> Iterator[PopServer]:
    with PopServer(launchers, tls=True) as server:
        yield server


@pytest.fixture
def server(shared: PopServer) -> PopServer:
    for path in shared.maildir.glob("*/*"):
        path.unlink()
    path = shared.deliver("1.a.host", b"Subject: large\n\n")
    os.truncate(path, LARGE)
    os.utime(path, (0, 0))  # it came first
    shared.deliver("2.a.host", b"x\n")
    wait_until_ended(shared)
    return shared


def session_pids(server: PopServer) -> list[int]:
    found = []
    for pid in server.tcpserver.processes():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
            if title.startswith(b"qmail-pop3d"):
                found.append(pid)
    return found


def wait_until_ended(server: PopServer) -> None:
    """Return when there is no session any more."""
    deadline = time.monotonic() + PATIENCE
    while session_pids(server):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def in_the_middle_of_a_message(server: PopServer, *, secure: bool) -> Iterator[socket.socket]:
    """Give a client that has heard the first bytes of what it wanted, and reads no more."""
    connection = server.connect()
    if secure:
        connection.sendall(b"STLS\r\n")
        while not connection.recv(1000).endswith(b"begin TLS now\r\n"):
            continue
        connection = server.context.wrap_socket(connection, server_hostname="mail.example.org")
    with connection:
        connection.sendall(login_commands() + b"DELE 2\r\nRETR 1\r\n")
        heard = b""
        while b"Subject: large" not in heard:
            heard += connection.recv(1000)
        yield connection


@pytest.mark.parametrize("secure", [False, True])
def test_a_client_that_is_killed_while_it_reads_deletes_nothing(
    server: PopServer, *, secure: bool
) -> None:
    with in_the_middle_of_a_message(server, secure=secure) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)

    wait_until_ended(server)
    assert server.files() == ["new/1.a.host", "new/2.a.host"]


@pytest.mark.parametrize("secure", [False, True])
def test_one_that_does_not_read_takes_no_memory(server: PopServer, *, secure: bool) -> None:
    before = sum(map(resident, server.tcpserver.processes()))
    with in_the_middle_of_a_message(server, secure=secure):
        time.sleep(0.3)  # as much as will be on its way is on its way
        grown = sum(map(resident, server.tcpserver.processes())) - before

    assert grown < LARGE / 4  # one session's process, and a piece for each hand
    wait_until_ended(server)


def test_one_that_has_said_all_still_hears_all(server: PopServer) -> None:
    said = server.ask(login_commands() + b"RETR 1\r\nDELE 2\r\nQUIT\r\n")

    assert len(said) > LARGE
    assert said.endswith(b"\r\n.\r\n+OK \r\n+OK \r\n")
    assert server.wait_for_files(["cur/1.a.host:2,"]) == ["cur/1.a.host:2,"]


@pytest.mark.parametrize(
    "said", [b"", b"USER", b"USER joe\r\nPASS ", b"AUTH PLAIN\r\n", b"STLS\r\n"]
)
def test_one_that_goes_before_it_has_logged_in_starts_nothing(
    server: PopServer, said: bytes
) -> None:
    ends = len([line for line in server.tcpserver.lines() if " end " in line])
    with server.connect() as connection:
        connection.sendall(said)

    server.tcpserver.wait_until_logged(" end ", ends + 1)
    assert session_pids(server) == []


def test_one_that_goes_while_its_password_is_looked_at_leaves_nothing(server: PopServer) -> None:
    with server.connect() as connection:
        connection.sendall(login_commands() + b"DELE 1\r\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)

    wait_until_ended(server)
    assert server.files() == ["new/1.a.host", "new/2.a.host"]
