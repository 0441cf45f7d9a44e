from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
import uvloop

from pyqmail.ucspi.carrying import carry_between

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = bytes(65536)
PIECES = 100


class Peer:
    """Says so many pieces, then no more; counts what it hears."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.heard = 0

    async def read(self) -> bytes:
        if not self.pieces:
            return b""
        self.pieces -= 1
        return PIECE

    async def write(self, data: bytes) -> None:
        self.heard += len(data)


def echo_slowly(process: socket.socket) -> None:
    """Be a process that takes its time before it reads, and says all it hears."""
    time.sleep(0.2)
    with process:
        while data := process.recv(4096):
            process.sendall(data)


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_much_is_carried_both_ways_to_whoever_does_not_read_at_once(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    ours, its = socket.socketpair()
    process = threading.Thread(target=echo_slowly, args=(its,))
    process.start()
    peer = Peer(PIECES)

    async def carry() -> None:
        async with asyncio.timeout(20):
            await carry_between(peer, ours, b"first")

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(carry())

    process.join()
    assert peer.heard == PIECES * len(PIECE) + len(b"first")
