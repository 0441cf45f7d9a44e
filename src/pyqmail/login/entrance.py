"""The front's side of a porter: how a coroutine asks to be let in, for a client of its own."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TransientFailure
from pyqmail.protocol.admission import (
    ANSWER,
    CHALLENGE,
    COME_IN,
    END,
    MAX_PACKET,
    MECHANISM,
    PASSWORD,
    QUESTION,
    RESPONSE,
    Request,
    TooLong,
)
from pyqmail.system.descriptors import send_descriptors
from pyqmail.system.errnos import error_text
from pyqmail.system.streams import wait_until_readable, wait_until_writable

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANSWER_LASTS: Final = 10  # seconds: how long what was true of all users is taken for true
_NOBODY: Final = b"the process that lets clients in has ended: restart this service"


class Entrance:
    """Where a porter takes requests: `gate` is what start_porter() returned.

    Many coroutines, and many processes, may use it at the same time.
    """

    def __init__(self, gate: socket.socket) -> None:
        self._gate = gate
        self._sending = asyncio.Lock()
        self._mechanisms: tuple[bytes, ...] = ()
        self._asked_at = -float(_ANSWER_LASTS)

    async def mechanisms(self) -> tuple[bytes, ...]:
        """Return the SASL mechanisms that every user can use. Raises TransientFailure."""
        now = asyncio.get_running_loop().time()
        if now - self._asked_at < _ANSWER_LASTS:
            return self._mechanisms
        talk = await self._request(Request(QUESTION, {}))
        try:
            said = await _hear(talk)
        finally:
            talk.close()
        if not said.startswith(ANSWER):
            raise TransientFailure(b"the porter does not say which mechanisms there are")
        self._asked_at, self._mechanisms = now, tuple(said.removeprefix(ANSWER).split())
        return self._mechanisms

    async def by_password(
        self, environ: Mapping[bytes, bytes], name: bytes, password: bytes, challenge: bytes
    ) -> Visit:
        """Ask for a session of `name`. Raises TransientFailure."""
        return await self._visit(Request(PASSWORD, environ, (name, password, challenge)))

    async def by_mechanism(
        self, environ: Mapping[bytes, bytes], mechanism: bytes, initial: bytes | None
    ) -> Visit:
        """Ask for a session by a mechanism that is not PLAIN. Raises TransientFailure."""
        fields = (mechanism,) if initial is None else (mechanism, initial)
        return await self._visit(Request(MECHANISM, environ, fields))

    async def _visit(self, request: Request) -> Visit:
        ours, its = socket.socketpair()
        try:
            return Visit(await self._request(request, its.fileno()), ours)
        except BaseException:
            ours.close()
            raise
        finally:
            its.close()

    async def _request(self, request: Request, *descriptors: int) -> socket.socket:
        """Send a request; return our end of the talk about it."""
        try:
            packet = request.encode()
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except TooLong as error:
            raise TransientFailure(b"a request is too long") from error
        except OSError as error:
            raise TransientFailure(b"no talk: " + error_text(error)) from error
        try:
            await self._send(packet, [its.fileno(), *descriptors])
        except OSError as error:
            ours.close()
            raise TransientFailure(_NOBODY) from error
        except BaseException:
            ours.close()
            raise
        finally:
            its.close()
        ours.settimeout(0)
        return ours

    async def _send(self, packet: bytes, descriptors: list[int]) -> None:
        async with self._sending:
            while True:
                try:
                    send_descriptors(self._gate, packet, descriptors)
                except BlockingIOError:
                    await wait_until_writable(self._gate.fileno())
                else:
                    return


class Visit:
    """A request that was made. `close()` it.

    If it is by_mechanism(), hear the challenges first. `connection` is our end of what
    the session speaks to, from the start: what is written there waits for it.
    """

    def __init__(self, talk: socket.socket, connection: socket.socket) -> None:
        self._talk = talk
        self.connection = connection
        self.is_over = False
        self._last = b""

    async def next_challenge(self) -> bytes | None:
        """Return what the client is to answer; None once its session has begun, or is_over."""
        said = await _hear(self._talk)
        if said.startswith(CHALLENGE):
            return said.removeprefix(CHALLENGE)
        self.is_over = said != COME_IN
        self._last = said
        return None

    async def respond(self, data: bytes) -> None:
        """Pass on the client's answer; who has ended does not hear it."""
        with suppress(OSError):
            self._talk.send(RESPONSE + data)

    async def exit_status(self) -> int:
        """Wait for the end; return the exit status of the session, or -N if signal N killed it."""
        said = self._last if self.is_over else await _hear(self._talk)
        while said == COME_IN:
            said = await _hear(self._talk)
        return int(said.removeprefix(END)) if said.startswith(END) else -1

    def close(self) -> None:
        """Let go. A session that goes on sees that its client is gone."""
        self._talk.close()
        self.connection.close()


async def _hear(talk: socket.socket) -> bytes:
    """Return the next packet; b"" if there will be none."""
    await wait_until_readable(talk.fileno())
    try:
        return talk.recv(MAX_PACKET)
    except ConnectionError:
        return b""
