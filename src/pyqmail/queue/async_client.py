"""The way into the queue for coroutines: many messages at once, and none of them waits for a disk.

Messages go to qmail-queued as frames, many over one connection. Where somebody put
another program in the place of qmail-queue, or nobody listens, each message
goes through a `QueueClient` in a thread of its own.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, cast

from pyqmail.control.launchers import is_ours
from pyqmail.queue import frames
from pyqmail.queue.client import QueueClient
from pyqmail.queue.envelope_file import encode_envelope
from pyqmail.queue.frames import FrameReader, encode_frame, parse_result, socket_path
from pyqmail.queue.outcome import CONNECTION_BROKE, failure_of
from pyqmail.system.descriptors import ShortPath

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar, TypeVarTuple

    Result = TypeVar("Result")
    Arguments = TypeVarTuple("Arguments")

_PIECE_SIZE: Final = 32768  # bytes of a message that are gathered for one frame
_PROGRAM_PIECE_SIZE: Final = 1024  # bytes that the original gathers for qmail-queue
_MAX_ANSWER: Final = 64  # bytes
# Messages on their way over one connection; qmail-queued refuses more than 256. So many
# slow clients cost more connections, and nobody his message.
_MAX_MESSAGES: Final = 128
_MAX_TAG: Final = 2**32


class QueueMessage(Protocol):
    """A message on its way into the queue. Until `commit()` has returned it is not there."""

    async def write(self, data: bytes) -> None:
        """Take the next bytes of the message. Trouble is told by `commit()`."""

    async def commit(
        self,
        reverse_path: bytes,
        forward_paths: Sequence[bytes],
        additions: Sequence[bytes] = (),
    ) -> int:
        """Queue the message durably and return its qp number. Raises Failure.

        `additions` are additional records for the envelope; see `keeps_additions()`.
        """

    async def withdraw(self) -> None:
        """Let go of a message that arrived but is refused.

        A program in the place of qmail-queue sees it, without an envelope.
        """

    async def abandon(self) -> None:
        """Forget a message that did not arrive. Does nothing if it was let go or committed."""


class AsyncQueue:
    """The queue of one home, for all coroutines of a process."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._connections: list[_Connection] = []
        self._connecting = asyncio.Lock()

    async def open(self, environ: Mapping[bytes, bytes]) -> QueueMessage:
        """Begin a message; `environ` may name a program in QMAILQUEUE. Raises Failure."""
        if self.keeps_additions(environ):
            connection = await self._connect()
            if connection is not None:
                return _FramedMessage(connection)
        return await _ThreadedMessage.open(environ)

    def keeps_additions(self, environ: Mapping[bytes, bytes]) -> bool:
        """Say whether additional records reach the queue: nobody else knows them."""
        return b"QMAILQUEUE" not in environ and is_ours(self._home, "qmail-queue")

    def close(self) -> None:
        """Let the connections go."""
        for connection in self._connections:
            connection.close()

    async def _connect(self) -> _Connection | None:
        """Return a connection to qmail-queued with room, or None if nobody listens."""
        async with self._connecting:
            self._connections = [each for each in self._connections if each.alive]
            for connection in self._connections:
                if connection.messages < _MAX_MESSAGES:
                    return connection
            loop = asyncio.get_running_loop()
            try:
                with ShortPath(socket_path(self._home)) as path:
                    _, connection = await loop.create_unix_connection(_Connection, path)
            except OSError:
                return None
            self._connections.append(connection)
            return connection


class _Connection(asyncio.Protocol):
    """One connection to qmail-queued, shared by the messages of a process."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._outbox: list[bytes] = []
        self._reader = FrameReader()
        self._answer = b""
        self._results: dict[int, asyncio.Future[tuple[int, int]]] = {}
        self._next_tag = 0
        self._ready = asyncio.Event()
        self._ready.set()

    @property
    def alive(self) -> bool:
        """Can messages still go over it?"""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def messages(self) -> int:
        """How many messages are on their way over it?"""
        return len(self._results)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def begin(self) -> tuple[int, asyncio.Future[tuple[int, int]]]:
        """Return the tag of a new message, and where its exit code and number will be."""
        tag = self._next_tag
        self._next_tag = (tag + 1) % _MAX_TAG
        result: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._results[tag] = result
        if not self.alive:
            result.set_result((CONNECTION_BROKE, 0))
        return tag, result

    def end(self, tag: int) -> None:
        """Forget a message; an answer that still comes is for nobody."""
        self._results.pop(tag, None)

    def send(self, frame: bytes) -> None:
        """Send `frame` with all others of this turn of the loop, in one call."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(frame)

    async def drain(self) -> None:
        """Wait while qmail-queued is slower than we are."""
        await asyncio.sleep(0)  # so that what was sent reaches the transport
        await self._ready.wait()

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(outbox))

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream has no other; uvloop's are of no class of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._ready.set()
        for result in self._results.values():
            if not result.done():
                # Whether the message was queued nobody knows; it may come twice.
                result.set_result((CONNECTION_BROKE, 0))

    def pause_writing(self) -> None:
        self._ready.clear()

    def resume_writing(self) -> None:
        self._ready.set()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (piece := self._reader.next_piece()) is not None:
            tag, _, part, is_last = piece
            self._answer += part
            if is_last or len(self._answer) > _MAX_ANSWER:
                answer, self._answer = self._answer, b""
                self._settle(tag, answer)

    def _settle(self, tag: int, answer: bytes) -> None:
        try:
            outcome = parse_result(answer)
        except ValueError:
            self.close()
            return
        result = self._results.get(tag)
        if result is not None and not result.done():
            result.set_result(outcome)


class _FramedMessage:
    """A message that goes to qmail-queued. Small ones go in one piece with their envelope."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._tag, self._result = connection.begin()
        self._pieces: list[bytes] = []
        self._size = 0
        self._open = True

    async def write(self, data: bytes) -> None:
        if self._result.done():
            return  # it has failed already
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= _PIECE_SIZE:
            self._send_pieces()
            await self._connection.drain()

    async def commit(
        self,
        reverse_path: bytes,
        forward_paths: Sequence[bytes],
        additions: Sequence[bytes] = (),
    ) -> int:
        self._send_pieces()
        envelope = encode_envelope(reverse_path, forward_paths, additions)
        self._connection.send(encode_frame(self._tag, frames.ENVELOPE, envelope))
        self._open = False
        try:
            code, number = await self._result
        finally:
            self._connection.end(self._tag)
        if code:
            raise failure_of(code)
        return number

    async def withdraw(self) -> None:
        await self.abandon()

    async def abandon(self) -> None:
        if self._open:
            self._open = False
            self._connection.end(self._tag)
            self._connection.send(encode_frame(self._tag, frames.ABORT, b""))

    def _send_pieces(self) -> None:
        body, self._pieces, self._size = b"".join(self._pieces), [], 0
        if body:
            self._connection.send(encode_frame(self._tag, frames.BODY, body))


class _ThreadedMessage:
    """A message that a `QueueClient` takes, in a thread that may wait.

    A thread for each: a program that hangs holds up its own message and no other.
    """

    def __init__(self, executor: ThreadPoolExecutor, client: QueueClient) -> None:
        self._executor = executor
        self._client = client
        self._kept = b""
        self._open = True

    @classmethod
    async def open(cls, environ: Mapping[bytes, bytes]) -> _ThreadedMessage:
        executor = ThreadPoolExecutor(1, "queue")
        try:
            client = await _call(executor, QueueClient, environ)
        except BaseException:
            executor.shutdown(wait=False)
            raise
        return cls(executor, client)

    async def write(self, data: bytes) -> None:
        # The last bytes stay here, as they do in the original: so of a short message that is
        # abandoned, a program in the place of qmail-queue sees nothing at all.
        self._kept += data
        kept = (len(self._kept) - 1) % _PROGRAM_PIECE_SIZE + 1
        if len(self._kept) > kept:
            ready, self._kept = self._kept[:-kept], self._kept[-kept:]
            await _call(self._executor, self._client.write, ready)

    async def commit(
        self,
        reverse_path: bytes,
        forward_paths: Sequence[bytes],
        additions: Sequence[bytes] = (),
    ) -> int:
        self._open = False
        try:
            await _call(self._executor, self._client.write, self._kept)
            commit = partial(self._client.commit, reverse_path, forward_paths, additions)
            return await _call(self._executor, commit)
        finally:
            self._executor.shutdown(wait=False)

    async def withdraw(self) -> None:
        await _call(self._executor, self._client.write, self._kept)
        await self.abandon()

    async def abandon(self) -> None:
        if self._open:
            self._open = False
            await _call(self._executor, self._client.fail)
            self._executor.shutdown(wait=False)


async def _call(
    executor: ThreadPoolExecutor,
    function: Callable[[*Arguments], Result],
    *arguments: *Arguments,
) -> Result:
    return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
