from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
import uvloop
from tests.support.children import in_child

from pyqmail.ucspi.carrying import carry_between
from pyqmail.ucspi.stream import SocketStream

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS = [asyncio.run, uvloop.run]


async def _carry(first: bytes) -> tuple[bytes, bytes]:
    """Carry between a client and a process that answer each other; return what each has heard."""
    client, front = socket.socketpair()
    ours, process = socket.socketpair()
    client.settimeout(20)
    process.settimeout(20)
    stream = SocketStream(front)
    process.sendall(b"+OK ")
    client.sendall(b"STAT\r\n")
    await stream.open()  # as it is once somebody has logged in

    carrying = asyncio.ensure_future(carry_between(stream, ours, first))
    heard = await asyncio.to_thread(_read, process, len(first) + len(b"STAT\r\n"))
    process.sendall(b"bye")
    process.close()
    await carrying
    stream.close()
    answered = await asyncio.to_thread(_read, client, len(b"+OK bye"))
    client.close()
    return heard, answered


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := connection.recv(size)):
        data += piece
    return data


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("first", [b"", b"UIDL\r\n"])
def test_both_say_something_at_once_and_both_are_heard(
    run: Callable[..., tuple[bytes, bytes]], first: bytes
) -> None:
    # In a child, because uvloop aborts the process if a connection is taken up twice.
    heard, answered = in_child(lambda: run(_carry(first)))

    assert heard == first + b"STAT\r\n"
    assert answered == b"+OK bye"
