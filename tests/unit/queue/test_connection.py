"""One client of qmail-queued."""

from __future__ import annotations

import asyncio
import socket

from pyqmail.errors import TransientFailure
from pyqmail.queue import frames
from pyqmail.queue.connection import Connection
from pyqmail.queue.frames import encode_frame
from pyqmail.system.descriptors import peer_of


class Trouble:
    """A server whose queue cannot be begun with; it keeps what it was told."""

    def __init__(self) -> None:
        self.intake = self
        self.told: list[BaseException] = []

    def next_number(self) -> int:
        return 1

    def begin(self, _uid: int, _pid: int) -> None:
        raise TransientFailure(b"there is no account alias")

    def code_of(self, error: BaseException) -> int:
        self.told.append(error)
        return 81

    def forget(self, _connection: Connection) -> None:
        """Nobody counts."""


def test_a_client_hears_the_end_when_something_unexpected_happens() -> None:
    async def submit() -> tuple[bytes, list[BaseException]]:
        loop, server = asyncio.get_running_loop(), Trouble()
        client, its = socket.socketpair()
        with client, its:
            client.settimeout(0)
            its.settimeout(0)
            Connection(server, loop, its, peer_of(its))  # type: ignore[arg-type]
            await loop.sock_sendall(client, encode_frame(0, frames.BODY, b"Subject: x\n"))
            return await asyncio.wait_for(loop.sock_recv(client, 100), 20), server.told

    said, told = asyncio.run(submit())

    assert said == b""
    assert [str(error) for error in told] == ["there is no account alias"]
