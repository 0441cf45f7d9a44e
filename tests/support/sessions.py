"""Sessions without a network: a client in memory, and a queue that keeps what it gets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyqmail.errors import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyqmail.errors import Failure


class MemoryStream:
    """A client that says one piece after the other, each when the last is answered.

    `heard` is what it heard before each piece, and at the end. A client that
    is `patient` stays silent after its last piece instead of leaving.
    """

    def __init__(self, pieces: Iterable[bytes], *, patient: bool = False) -> None:
        self._pieces = pieces if isinstance(pieces, list) else list(pieces)
        self._patient = patient
        self._output = b""
        self.heard: list[bytes] = []

    async def read(self) -> bytes:
        """Give the next piece."""
        self.pause()
        if self._pieces:
            return self._pieces.pop(0)
        if self._patient:
            await asyncio.Event().wait()
        return b""

    async def write(self, data: bytes) -> None:
        """Take what the server says."""
        self._output += data

    async def start_tls(self, _context: object) -> None:
        """Go on in the clear: what TLS does to the bytes is not what is tested here."""

    def pause(self) -> None:
        """Note what was heard so far."""
        self.heard.append(self._output)
        self._output = b""

    def transcript(self) -> bytes:
        """Return all that the server said."""
        self.pause()
        return b"".join(self.heard)


@dataclass
class Queued:
    """A message that was queued."""

    reverse_path: bytes
    forward_paths: list[bytes]
    message: bytes
    additions: list[bytes] = field(default_factory=list)


@dataclass
class MemoryQueue:
    """Keeps messages. `failure` is what a commit ends with, `broken` makes opening fail."""

    failure: Failure | None = None
    broken: bool = False
    knows_additions: bool = False
    queued: list[Queued] = field(default_factory=list)
    withdrawn: list[bytes] = field(default_factory=list)
    abandoned: int = 0
    largest_write: int = 0

    def keeps_additions(self, _environ: Mapping[bytes, bytes]) -> bool:
        """Say whether DSN is offered."""
        return self.knows_additions

    async def open(self, _environ: Mapping[bytes, bytes]) -> MemoryMessage:
        """Begin a message."""
        if self.broken:
            raise TransientFailure(b"no queue")
        return MemoryMessage(self)


class MemoryMessage:
    """A message on its way into a MemoryQueue; see queue.async_client.QueueMessage."""

    def __init__(self, queue: MemoryQueue) -> None:
        self._queue = queue
        self._message = b""
        self._open = True

    async def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._message += data
        self._queue.largest_write = max(self._queue.largest_write, len(data))

    async def commit(
        self,
        reverse_path: bytes,
        forward_paths: Sequence[bytes],
        additions: Sequence[bytes] = (),
    ) -> int:
        """Queue the message, or fail as the queue is told to."""
        self._open = False
        if self._queue.failure is not None:
            raise self._queue.failure
        self._queue.queued.append(
            Queued(reverse_path, list(forward_paths), self._message, list(additions))
        )
        return 4711

    async def withdraw(self) -> None:
        """Let go of a refused message."""
        self._open = False
        self._queue.withdrawn.append(self._message)

    async def abandon(self) -> None:
        """Forget the message."""
        if self._open:
            self._open = False
            self._queue.abandoned += 1
