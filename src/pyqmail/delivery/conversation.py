"""What is said over one connection, and how long we wait for each answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from pyqmail.protocol.smtp.client import Phase
from pyqmail.system.streams import Stream
from pyqmail.system.timelimit import TimeLimit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Mapping

    from pyqmail.protocol.smtp.client import Answer, ClientSession

    Result = TypeVar("Result")

# Seconds for the answer in each phase, RFC 5321 §4.5.3.2. We wait longer for the last one: who
# gives up while the host still writes the message down sends it twice.
_ANSWERS: Final[Mapping[Phase, float]] = {
    Phase.GREETING: 300,
    Phase.HELLO: 300,
    Phase.SECURITY: 120,
    Phase.LOGIN: 120,
    Phase.SENDER: 300,
    Phase.RECIPIENT: 300,
    Phase.DATA: 120,
    Phase.MESSAGE: 1200,
    Phase.RESET: 120,
}
_PIECE: Final = 180  # for the host to take a piece of the message; RFC 5321 §4.5.3.2.5
_HANDSHAKE: Final = 60


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that we wait: `everywhere` if the administrator says so, else by phase."""

    everywhere: float | None = None

    def answer(self, phase: Phase) -> float:
        """Return how long we wait for an answer."""
        return _ANSWERS[phase] if self.everywhere is None else self.everywhere

    @property
    def piece(self) -> float:
        """How long we wait for a piece of the message to be taken."""
        return _PIECE if self.everywhere is None else self.everywhere

    @property
    def handshake(self) -> float:
        """How long we wait for TLS."""
        return _HANDSHAKE if self.everywhere is None else self.everywhere


class SecurableClientStream(Stream, Protocol):
    """A stream that can begin to speak TLS."""

    async def start_tls(self, context: ssl.SSLContext, server: str | None = None) -> None:
        """Speak TLS from here on, as a client; raise OSError if the handshake fails."""

    def peer_certificate(self) -> dict[str, object]:
        """Return what ssl.SSLObject.getpeercert() gives; empty if nothing was verified."""


class Conversation:
    """A session, held over a stream."""

    def __init__(
        self, stream: SecurableClientStream, session: ClientSession, patience: Patience
    ) -> None:
        self.session = session
        self._stream = stream
        self._patience = patience
        self._limit = TimeLimit()

    def close(self) -> None:
        """Forget what is still to come; nothing is said or heard any more."""
        self._limit.close()

    async def answer(self) -> Answer:
        """Return the next answer. Raises OSError or MalformedReply."""
        # Several answers may have come in one piece; what they lead to is sent in one piece, too.
        if (answer := self.session.next_answer()) is not None:
            return answer
        # One limit for all of it: a peer that gives a byte a minute must not hold us.
        return await self._within(self._patience.answer(self.session.awaited), self._ask())

    async def _ask(self) -> Answer:
        """Say what is to be said, and return the next answer."""
        while True:
            if commands := self.session.data_to_send():
                await self._stream.write(commands)
            data = await self._stream.read()
            if not data:
                raise ConnectionResetError
            self.session.receive_data(data)
            if (answer := self.session.next_answer()) is not None:
                return answer

    async def _within(self, seconds: float, awaitable: Awaitable[Result]) -> Result:
        return await self._limit.wait(asyncio.get_running_loop().time() + seconds, awaitable)

    async def write(self, data: bytes) -> None:
        """Send a piece of the message. Raises OSError."""
        await self._within(
            self._patience.piece, self._stream.write(self.session.data_to_send() + data)
        )

    async def speak_tls(self, context: ssl.SSLContext, server: str | None) -> dict[str, object]:
        """Speak TLS from here on; return the host's certificate, empty if it is not verified.

        Raises OSError if the handshake fails.
        """
        async with asyncio.timeout(self._patience.handshake):
            await self._stream.start_tls(context, server)
        return self._stream.peer_certificate()
