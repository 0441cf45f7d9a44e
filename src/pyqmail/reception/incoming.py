"""A message on its way from a client into the queue, and what may be wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.message.trace import MAX_HOPS, HopCounter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyqmail.queue.async_client import QueueMessage


class IncomingMessage:
    """Hands a message to the queue as it arrives, and keeps nothing of it.

    It is for the caller to look at `looping` and `too_large` before
    `commit()`; a message that is one of them never gets an envelope.
    """

    def __init__(self, message: QueueMessage, max_size: int | None) -> None:
        self._message = message
        self._room = max_size  # bytes that may still come; None: any number
        self._hops = HopCounter()
        self.too_large = False

    @property
    def looping(self) -> bool:
        """Have too many hosts had it already?"""
        return self._hops.hops >= MAX_HOPS

    async def take_field(self, field: bytes) -> None:
        """Take a trace field of our own; it counts neither as a hop nor against the limit."""
        await self._message.write(field)

    def expect(self, size: int | None) -> None:
        """Hear how large the message will be, if that is known; take nothing of one too large."""
        if self._room is not None and size is not None:
            self.too_large = size > self._room

    async def take(self, data: bytes) -> None:
        """Take the next bytes; what is too much is thrown away."""
        self._hops.feed(data)
        if self.too_large:
            return
        if self._room is not None:
            self.too_large = len(data) > self._room
            data = data[: self._room]
            self._room -= len(data)
        await self._message.write(data)

    async def commit(
        self,
        reverse_path: bytes,
        forward_paths: Sequence[bytes],
        additions: Sequence[bytes] = (),
    ) -> int:
        """Queue the message durably and return its qp number. Raises Failure."""
        return await self._message.commit(reverse_path, forward_paths, additions)

    async def withdraw(self) -> None:
        """Let go of a message that arrived but is refused."""
        await self._message.withdraw()

    async def abandon(self) -> None:
        """Forget the message, if it is not queued."""
        await self._message.abandon()
