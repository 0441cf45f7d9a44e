"""The conversation below an SMTP session: bytes in time, TLS, and what a proxy says first."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.protocol.proxy import ProxyError, parse_header
from pyqmail.protocol.smtp.server import ServerSession
from pyqmail.protocol.smtp.states import State
from pyqmail.reception.replies import NO_PROXY_HEADER, TIMEOUT
from pyqmail.system.timelimit import TimeLimit
from pyqmail.system.tls import SecurableStream

if TYPE_CHECKING:
    import ssl

    from pyqmail.protocol.proxy import Header
    from pyqmail.protocol.smtp.events import Event
    from pyqmail.protocol.smtp.reply import Reply
    from pyqmail.system.streams import ServerStream

# Seconds that a message may take in all. qmail-queue gives up after as many.
MESSAGE_TIMEOUT: Final = 86400
# Seconds for the last words to a client that may not be there any more.
FAREWELL_TIMEOUT: Final = 10
HANDSHAKE_TIMEOUT: Final = 60  # seconds, for TLS and for the header of a proxy

_IN_MESSAGE: Final = (State.MESSAGE, State.CHUNK)


class GiveUp(Exception):  # noqa: N818  it ends a session, it is not an error of ours
    """The session cannot go on; `reply` tells the client why."""

    def __init__(self, last_words: Reply) -> None:
        super().__init__(last_words)
        self.reply = last_words


class Conversation:
    """The engine of a session on its stream. `secure` says whether it is TLS that is spoken.

    Every method that waits raises OSError when the client is gone or does not
    listen, and GiveUp when there is something to tell it.
    """

    def __init__(self, stream: ServerStream) -> None:
        self._stream = stream
        self._timeout = 0  # seconds for each read and write, and for a command
        self._deadline = 0.0  # of the command that is awaited, on the loop's clock
        self._message_deadline = 0.0
        self._loop = asyncio.get_running_loop()
        self._limit = TimeLimit(asyncio.current_task())
        self.engine = ServerSession()
        self.secure = False

    def begin(self, engine: ServerSession, timeout: int) -> None:
        """Hold the conversation with `engine`."""
        self.engine = engine
        self._timeout = timeout
        self._restart_clock()

    async def next_event(self) -> Event | None:
        """Return what the client wants next, None when all is said."""
        while (event := self.engine.next_event()) is None and not self.engine.closed:
            await self.send()
            self.engine.receive_data(await self._receive())
        if event is None:
            await self.send()
        return event

    def expect_message(self) -> None:
        """Give the message that begins its time."""
        self._message_deadline = self._loop.time() + MESSAGE_TIMEOUT

    async def send(self) -> None:
        """Send all replies; the time for what the client does next begins."""
        said = self.engine.data_to_send()
        if not said:
            return
        try:
            with self._limit.until(self._restart_clock()):
                await self._stream.write(said)
        except TimeoutError as error:  # there is no point in telling it
            raise ConnectionAbortedError from error
        self._restart_clock()

    async def give_up(self, last_words: Reply) -> None:
        """Say why the session ends, if the client still listens."""
        self.engine.close(last_words)
        with suppress(OSError):
            async with asyncio.timeout(FAREWELL_TIMEOUT):
                await self._stream.write(self.engine.data_to_send())

    def close(self) -> None:
        """Forget what is still to come; nothing is said or heard any more."""
        self._limit.close()

    async def hear_proxy(self) -> Header:
        """Return the header that a proxy sends before all else."""
        received = b""
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                while (header := parse_header(received)) is None:
                    received += await self._hear_more()
        except (ProxyError, TimeoutError) as error:
            raise GiveUp(NO_PROXY_HEADER) from error
        return header

    async def _hear_more(self) -> bytes:
        data = await self._stream.read()
        if not data:
            raise ConnectionResetError
        return data

    async def start_tls(self, context: ssl.SSLContext, received: bytes = b"") -> None:
        """Speak TLS from here on; `received` is what has come of it already."""
        if received:
            self._stream = SecurableStream(self._stream, received)
        try:
            async with asyncio.timeout(min(self._timeout, HANDSHAKE_TIMEOUT)):
                await self._stream.start_tls(context)
        except TimeoutError as error:
            raise ConnectionAbortedError from error
        self.secure = True
        self._restart_clock()

    def _restart_clock(self) -> float:
        self._deadline = self._loop.time() + self._timeout
        return self._deadline

    async def _receive(self) -> bytes:
        """Return what the client sent: in time, and as part of something that is in time."""
        in_message = self.engine.state in _IN_MESSAGE
        deadline = self._message_deadline if in_message else self._deadline
        deadline = min(deadline, self._loop.time() + self._timeout)
        try:
            with self._limit.until(deadline):
                data = await self._stream.read()
        except TimeoutError as error:
            raise GiveUp(TIMEOUT) from error
        if not data:
            raise ConnectionResetError
        return data
