"""What is said in the clear behind STLS is never taken for something that was said in TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from tests.support.pop3 import PASSWORD, PopServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("pop3 under tcpserver")]


@pytest.fixture(scope="module")
def server(launchers: str) -> Iterator[PopServer]:
    with PopServer(launchers, tls=True) as server:
        yield server


def begin(connection: socket.socket, said: bytes) -> None:
    """Send STLS and what an attacker puts behind it; read up to the consent."""
    connection.sendall(b"STLS\r\n" + said)
    heard = b""
    while b"+OK begin TLS now\r\n" not in heard:
        heard += connection.recv(1000)


@pytest.mark.parametrize("name", [b"USER joe\r\n", b"CAPA\r\n", b"NOOP\r\nQUIT\r\n"])
def test_in_one_piece_with_stls_it_is_dropped(server: PopServer, name: bytes) -> None:
    with server.connect() as connection:
        begin(connection, name)
        secure = server.context.wrap_socket(connection, server_hostname="mail.example.org")
        with secure:
            secure.sendall(b"PASS " + PASSWORD + b"\r\n")

            # Neither an answer to what was injected, nor a name that it gave.
            assert secure.recv(1000) == b"-ERR USER first\r\n"


def test_a_little_later_it_spoils_the_handshake(server: PopServer) -> None:
    with server.connect() as connection:
        begin(connection, b"")
        connection.sendall(b"USER joe\r\n")

        with pytest.raises((ssl.SSLError, ConnectionError)):
            server.context.wrap_socket(connection, server_hostname="mail.example.org")
