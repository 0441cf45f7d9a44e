"""A NUL never makes two programs disagree about who somebody is, or what he wants."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from tests.support.pop3 import PASSWORD, PopServer, login_commands

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("pop3 under tcpserver")]


@pytest.fixture(scope="module")
def shared(launchers: str) -> Iterator[PopServer]:
    with PopServer(launchers) as server:
        yield server


@pytest.fixture
def server(shared: PopServer) -> PopServer:
    shared.forget_guesses()
    return shared


@pytest.mark.parametrize(
    "said",
    [
        b"USER joe\0root\r\nPASS " + PASSWORD + b"\0x\r\n",  # as ever, a NUL ends the line
        b"USER joe\r\nPASS " + PASSWORD + b"\0\r\n",
    ],
)
def test_what_follows_a_nul_does_not_count(server: PopServer, said: bytes) -> None:
    assert server.ask(said + b"STAT\0x\r\nQUIT\r\n").endswith(b"+OK 0 0\r\n+OK \r\n")


@pytest.mark.parametrize(
    "blob",
    [
        b"\0joe\0" + PASSWORD + b"\0",
        b"\0joe\0\0" + PASSWORD,
        b"root\0joe\0" + PASSWORD,  # nobody acts as somebody else
        b"joe\0" + PASSWORD,
        b"\0\0",
        b"",
    ],
)
def test_plain_has_its_three_parts_and_no_more(server: PopServer, blob: bytes) -> None:
    said = server.ask(b"AUTH PLAIN\r\n" + base64.b64encode(blob) + b"\r\nSTAT\r\nQUIT\r\n")

    assert b"-ERR authorization f" in said
    assert b"+OK 0 0" not in said


@pytest.mark.parametrize(
    "first",
    [b"n,,n=joe\0,r=abc", b"n,,n=\0,r=abc", b"\0", b"n,a=root,n=joe,r=abc", b"p=x,,n=joe,r=a"],
)
def test_scram_does_not_take_them_either(server: PopServer, first: bytes) -> None:
    said = server.ask(b"AUTH SCRAM-SHA-256 " + base64.b64encode(first) + b"\r\n")

    assert said.endswith(b"-ERR authorization failed\r\n")


def test_any_byte_in_a_command_is_answered_with_one_line(server: PopServer) -> None:
    junk = bytes(byte for byte in range(256) if byte not in b"\n")

    said = server.ask(login_commands() + junk + b"\n" + b"RETR \0001\r\nQUIT\r\n")

    assert said.endswith(b"-ERR unimplemented\r\n-ERR syntax error\r\n+OK \r\n")
