"""What sessions of QMTP and QMQP share: both take a message and an envelope as netstrings."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from pyqmail.errors import PERMANENT, SUCCESS, TRANSIENT, Failure, PermanentFailure
from pyqmail.protocol.netstring import NetstringError, NetstringTooLong, encode_netstring
from pyqmail.protocol.qmtp import (
    ForwardPath,
    MessageBegin,
    MessageData,
    MessageSize,
    PackageEnd,
    ReversePath,
)
from pyqmail.reception.incoming import IncomingMessage
from pyqmail.reception.smtp import client_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol

    from pyqmail.protocol.qmtp import Event
    from pyqmail.queue.async_client import AsyncQueue
    from pyqmail.system.streams import Stream

    class Engine(Protocol):
        """`protocol.qmtp.PackageReader` or `protocol.qmqp.RequestReader`."""

        def receive_data(self, data: bytes) -> None:
            """Take what arrived."""

        def next_event(self) -> Event | None:
            """Return what comes next, or None if more bytes are needed."""


SESSION_TIMEOUT: Final = 3600  # seconds for a whole session; qmail-qmtpd(8)

# Bytes that the recipients of one message may take in memory: some 180,000 addresses. The
# original hands them on one by one, and leaves the limit to the machine.
MAX_ENVELOPE: Final = 16 * 2**20
_ADDRESS_COST: Final = 64  # bytes of an address beside its own

_WRITE_SIZE: Final = 65536  # bytes of answers that are gathered for one write


class Envelope:
    """The addresses of one message: those that may be used, and as many as there is room for."""

    __slots__ = ("_room", "forward_paths", "reverse_path")

    def __init__(self) -> None:
        self.reverse_path: bytes | None = None
        self.forward_paths: list[bytes] = []
        self._room = MAX_ENVELOPE

    def add(self, forward_path: bytes) -> bool:
        """Add a recipient; return False if there is no room."""
        self._room -= len(forward_path) + _ADDRESS_COST
        if self._room < 0:
            return False
        self.forward_paths.append(forward_path)
        return True


def usable(address: bytes | None) -> bytes | None:
    """Return `address` if it can be in an envelope, else None."""
    return None if address is None or b"\0" in address else address


class NetstringSession:
    """One session: a loop over the events of an engine, with exit codes of qmail-qmtpd(8).

    The protocols differ in what they make of a reverse path, of a recipient,
    and of the end; and whether the session ends with that.
    """

    protocol: bytes
    finished = False  # is there nothing more to read?

    def __init__(
        self,
        engine: Engine,
        environ: Mapping[bytes, bytes],
        stream: Stream,
        queue: AsyncQueue,
    ) -> None:
        self._engine = engine
        self._environ = environ
        self._stream = stream
        self._queue = queue
        self._incoming: IncomingMessage | None = None
        self._complete = False  # has all of the message arrived?
        self._answers: list[bytes] = []
        self.max_size: int | None = None
        self.envelope = Envelope()

    async def hold(self) -> int:
        """Talk until the client leaves or breaks the protocol; return the exit code."""
        try:
            async with asyncio.timeout(SESSION_TIMEOUT):
                return await self._converse()
        except (NetstringTooLong, TimeoutError, MemoryError, Failure):
            return TRANSIENT
        except NetstringError:
            return PERMANENT
        except OSError:
            return SUCCESS  # the client is gone
        finally:
            await self._let_go()

    async def _converse(self) -> int:
        while not self.finished:
            event = self._engine.next_event()
            if event is not None:
                await self._obey(event)
                continue
            await self._send()
            data = await self._stream.read()
            if not data:
                return SUCCESS
            self._engine.receive_data(data)
        await self._send()
        return SUCCESS

    async def _obey(self, event: Event) -> None:
        match event:
            case MessageBegin():
                await self._begin_message()
            case MessageSize(size):
                self._message.expect(size)
            case MessageData(data):
                await self._message.take(data)
            case ReversePath(address):
                self._complete = True
                self.take_reverse_path(address)
            case ForwardPath(address):
                self.take_recipient(address)
            case PackageEnd():
                await self.end_package()

    # What the protocols decide.

    def take_reverse_path(self, address: bytes | None) -> None:
        """Look at the reverse path; None if it is too long."""
        self.envelope.reverse_path = usable(address)

    def take_recipient(self, address: bytes | None) -> None:
        """Look at a recipient; None if its address is too long."""
        raise NotImplementedError

    async def end_package(self) -> None:
        """Answer for a complete package."""
        raise NotImplementedError

    # The message.

    async def _begin_message(self) -> None:
        self.envelope, self._complete = Envelope(), False
        message = await self._queue.open(self._environ)
        self._incoming = IncomingMessage(message, self.max_size)
        received = client_of(self._environ).received_field(self.protocol, None, int(time.time()))
        await self._incoming.take_field(received)

    @property
    def _message(self) -> IncomingMessage:
        assert self._incoming is not None  # every other event comes after MessageBegin
        return self._incoming

    @property
    def too_large(self) -> bool:
        """Is the message larger than it may be?"""
        return self._message.too_large

    async def withdraw(self) -> None:
        """Let go of a message that is refused."""
        message, self._incoming = self._message, None
        await message.withdraw()

    async def commit(self) -> bytes:
        """Queue the message; return the answer to its client, whether it worked or not."""
        message, self._incoming = self._message, None
        assert self.envelope.reverse_path is not None  # else the message was withdrawn
        try:
            qp = await message.commit(self.envelope.reverse_path, self.envelope.forward_paths)
        except PermanentFailure as failure:
            return b"D" + failure.text
        except Failure as failure:
            return b"Z" + failure.text
        return b"Kok %d qp %d" % (time.time(), qp)

    async def _let_go(self) -> None:
        if self._incoming is None:
            return
        # Of a message that was complete, a program in the place of qmail-queue sees all.
        if self._complete:
            await self._incoming.withdraw()
        else:
            await self._incoming.abandon()

    # The answers.

    async def answer(self, texts: Iterable[bytes]) -> None:
        """Answer with one netstring for each text; they are sent before the next read."""
        size = 0
        for text in texts:
            self._answers.append(encode_netstring(text))
            size += len(text)
            if size >= _WRITE_SIZE:
                await self._send()
                size = 0

    async def _send(self) -> None:
        if self._answers:
            data, self._answers = b"".join(self._answers), []
            await self._stream.write(data)
