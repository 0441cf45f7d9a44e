"""The first half of a POP3 session in the front of a server: who is the client?

A coroutine over (environment, stream), so that one process may hold thousands of
clients. It speaks TLS, and knows neither passwords nor mail: a porter decides, and lets the
client into a process of its own, to which the front carries what is said from then on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pyqmail.control.files import ControlError, read_integer, read_line
from pyqmail.errors import TransientFailure
from pyqmail.protocol.pop3_login import (
    AUTH,
    CRASHED,
    FAILED,
    NO_MECHANISM,
    NO_TLS,
    TRANSIENT,
    UNAVAILABLE,
    AskCapabilities,
    Authenticate,
    LogIn,
    LoginSession,
    Offer,
    Response,
    StartTls,
)
from pyqmail.protocol.smtp.auth import (
    AuthenticationRefused,
    MalformedResponse,
    PasswordClaim,
    Plain,
)
from pyqmail.system.tls import CertificateError

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Self

    from pyqmail.protocol.pop3_login import Event
    from pyqmail.system.streams import ServerStream, Stream
    from pyqmail.system.tls import Certificates

# Seconds from the connection until somebody is logged in, and for each write. As long as the
# original waits for one read.
TIMEOUT: Final = 1200
HANDSHAKE_TIMEOUT: Final = 60  # seconds
EXIT_STATUS: Final = 1  # whatever happens, as ever

# Variables of the connection: TLS from the first byte; 0 for none of what the original had not.
SECURE: Final = b"POP3S"
EXTENSIONS: Final = b"POP3EXTENSIONS"

_PLAIN: Final = b"PLAIN"
_REFUSED: Final = 1  # exit status of a checkpassword


class Visit(Protocol):
    """A session that was asked for; `connection` is our end of what it speaks to."""

    @property
    def connection(self) -> socket.socket:
        """Whatever is written there waits for the session."""

    @property
    def is_over(self) -> bool:
        """Has it ended without a session?"""

    async def next_challenge(self) -> bytes | None:
        """Return what the client is to answer; None if there is nothing more to answer."""

    async def respond(self, data: bytes) -> None:
        """Pass on what the client answers."""

    async def exit_status(self) -> int:
        """Wait for the end; return its exit status, negative if it crashed."""

    def close(self) -> None:
        """Let go."""


class Entrance(Protocol):
    """Where sessions are asked for. The methods raise TransientFailure if nobody answers."""

    async def mechanisms(self) -> tuple[bytes, ...]:
        """Return the SASL mechanisms that every user can use."""

    async def by_password(
        self, environ: Mapping[bytes, bytes], name: bytes, password: bytes, challenge: bytes
    ) -> Visit:
        """Ask for the session of who can say this password, or APOP's digest of the challenge."""

    async def by_mechanism(
        self, environ: Mapping[bytes, bytes], mechanism: bytes, initial: bytes | None
    ) -> Visit:
        """Ask for the session of who can answer the challenges of a mechanism."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the administrator says: control files, read once a session."""

    only_secure_passwords: bool = False
    ciphers: str | None = None

    @classmethod
    def read(cls, home: str) -> Self:
        """Read them. Raises ControlError."""
        ciphers = read_line(home, "tlsserverciphers")
        return cls(
            only_secure_passwords=read_integer(home, "popsecure", 0) != 0,
            ciphers=ciphers.decode("latin-1") if ciphers else None,
        )


@dataclass(frozen=True, slots=True)
class Services:
    """What sessions ask of others.

    `carry` carries bytes between a stream and a socket until the other end of that says no
    more; what a client has said before goes first. `log` gets lines for the administrator.
    """

    entrance: Entrance
    carry: Callable[[Stream, socket.socket, bytes], Awaitable[None]]
    certificates: Certificates | None
    log: Callable[[bytes], None]


async def serve(
    home: str,
    environ: Mapping[bytes, bytes],
    stream: ServerStream,
    challenge: bytes,
    services: Services,
) -> int:
    """Hold one session and return its exit status."""
    try:
        settings = Settings.read(home)
        front = _Front(environ, stream, challenge, services, settings)
        try:
            async with asyncio.timeout(TIMEOUT):
                visit = await front.let_in()
            if visit is not None:
                await front.follow(visit)
        finally:
            front.close()
    except ControlError as error:
        services.log(error.text)
    except OSError:
        pass  # the client is gone, or too slow: silently, as ever
    return EXIT_STATUS


class _Front:
    """One client."""

    def __init__(
        self,
        environ: Mapping[bytes, bytes],
        stream: ServerStream,
        challenge: bytes,
        services: Services,
        settings: Settings,
    ) -> None:
        self._environ = environ
        self._stream = stream
        self._challenge = challenge
        self._services = services
        self._settings = settings
        self._extensions = environ.get(EXTENSIONS) != b"0"
        self._session = LoginSession(challenge, self._offer(secure=False))
        self._exchange: Plain | Visit | None = None  # what the client's next response is for

    async def let_in(self) -> Visit | None:
        """Talk until the client has said who it is; return its session, None if it goes."""
        if SECURE in self._environ:
            context = self._tls_context()
            if context is None:
                return None  # nobody would understand why
            await self._speak_tls(context)
        while (event := await self._next_event()) is not None:
            visit = await self._obey(event)
            if visit is not None:
                return visit
        return None

    async def follow(self, visit: Visit) -> None:
        """Be the way between the client and its session, and say how that ended if not well."""
        self._exchange = visit
        client = _PatientStream(self._stream)
        await self._services.carry(client, visit.connection, self._session.take_rest())
        status = await visit.exit_status()
        if status:
            text = CRASHED if status < 0 else FAILED
            self._session.refuse(text, AUTH if status == _REFUSED else TRANSIENT)
            await client.write(self._session.data_to_send())

    def close(self) -> None:
        """Let go of a session, or of one that will not come to be."""
        self._drop_exchange()

    def _drop_exchange(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None and not isinstance(exchange, Plain):
            exchange.close()

    async def _next_event(self) -> Event | None:
        while True:
            event = self._session.next_event()
            said = self._session.data_to_send()
            if said:
                await self._stream.write(said)
            if event is not None or self._session.closed:
                return event
            data = await self._stream.read()
            if not data:
                return None
            self._session.receive_data(data)

    async def _obey(self, event: Event) -> Visit | None:
        if not isinstance(event, Response):
            self._drop_exchange()
        try:
            match event:
                case LogIn():
                    return await self._ask_for(event.name, event.password)
                case Authenticate():
                    return await self._begin_exchange(event)
                case Response():
                    return await self._go_on(event.data)
                case AskCapabilities():
                    self._session.tell_capabilities(await self._services.entrance.mechanisms())
                case StartTls():
                    await self._start_tls()
        except TransientFailure as failure:
            self._services.log(failure.text)
            self._session.refuse(UNAVAILABLE, TRANSIENT)
        return None

    # TLS.

    def _offer(self, *, secure: bool) -> Offer:
        return Offer(
            extensions=self._extensions,
            tls=not secure and self._tls_context() is not None,
            passwords=secure or not self._settings.only_secure_passwords,
        )

    def _tls_context(self) -> ssl.SSLContext | None:
        """Return what a handshake needs; None if TLS cannot be had."""
        if self._services.certificates is None:
            return None
        try:
            return self._services.certificates.context(self._settings.ciphers)
        except CertificateError as error:
            self._services.log(b"TLS not available: " + str(error).encode())
            return None

    async def _start_tls(self) -> None:
        context = self._tls_context()
        if context is None:
            self._session.refuse(NO_TLS)
            return
        self._session.begin_tls()
        await self._stream.write(self._session.data_to_send())
        await self._speak_tls(context)

    async def _speak_tls(self, context: ssl.SSLContext) -> None:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            await self._stream.start_tls(context)
        self._session.offer = self._offer(secure=True)

    # Who the client is.

    async def _ask_for(self, name: bytes, password: bytes) -> Visit:
        entrance = self._services.entrance
        return await entrance.by_password(self._environ, name, password, self._challenge)

    async def _begin_exchange(self, event: Authenticate) -> Visit | None:
        entrance = self._services.entrance
        if event.mechanism not in await entrance.mechanisms():
            self._session.refuse(NO_MECHANISM)
        elif event.mechanism == _PLAIN:
            self._exchange = Plain()
            if event.initial is not None:
                return await self._go_on(event.initial)
            self._session.challenge(b"")
        else:
            visit = await entrance.by_mechanism(self._environ, event.mechanism, event.initial)
            self._exchange = visit
            return await self._hear_challenge(visit)
        return None

    async def _go_on(self, response: bytes) -> Visit | None:
        exchange = self._exchange
        assert exchange is not None  # a challenge was sent
        if not isinstance(exchange, Plain):
            await exchange.respond(response)
            return await self._hear_challenge(exchange)
        self._exchange = None
        try:
            claim = exchange.receive(response)
        except (MalformedResponse, AuthenticationRefused):
            self._session.refuse(FAILED, AUTH)
            return None
        assert isinstance(claim, PasswordClaim)  # PLAIN has no other steps
        return await self._ask_for(claim.login, claim.password)

    async def _hear_challenge(self, visit: Visit) -> Visit | None:
        challenge = await visit.next_challenge()
        if challenge is None:
            return visit
        self._session.challenge(challenge)
        return None


class _PatientStream:
    """The client while its session lasts: patient, but not for ever, with one who does not read."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def read(self) -> bytes:
        """Return what has arrived; how long that may take is the session's business."""
        return await self._stream.read()

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""
        async with asyncio.timeout(TIMEOUT):
            await self._stream.write(data)
