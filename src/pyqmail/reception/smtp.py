"""One SMTP session with a client that sends mail; qmail-smtpd(8).

The application over the engine of `protocol.smtp`: it holds the conversation
and hands messages to the queue as they arrive. Whose mail is taken is in
`transaction`, who the client is in `authentication` and `peers`. It is a
coroutine over (environment, stream) and returns an exit status, so that one
process may hold one session or thousands.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError
from pyqmail.errors import Failure, PermanentFailure
from pyqmail.message.trace import Client
from pyqmail.protocol.smtp.events import (
    Authenticate,
    AuthenticationResponse,
    Chunk,
    ChunkEnd,
    Data,
    Hello,
    Introduce,
    Mail,
    MessageData,
    MessageEnd,
    Quit,
    Recipient,
    Reset,
    StartTls,
)
from pyqmail.protocol.smtp.reply import FLUSHED, GO_AHEAD, OK, Reply, reply
from pyqmail.protocol.smtp.server import ServerSession
from pyqmail.reception import replies
from pyqmail.reception.authentication import MAX_FAILURES, Authentication
from pyqmail.reception.conversation import Conversation, GiveUp
from pyqmail.reception.incoming import IncomingMessage
from pyqmail.reception.peers import INTRODUCTIONS, NoAddress, behind_proxy, introduced
from pyqmail.reception.settings import Settings
from pyqmail.reception.transaction import Transaction
from pyqmail.system.tls import CertificateError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from pyqmail.protocol.smtp.auth import Verifier
    from pyqmail.protocol.smtp.events import Event
    from pyqmail.queue.async_client import AsyncQueue
    from pyqmail.reception.transaction import RecipientCheck
    from pyqmail.system.streams import ServerStream
    from pyqmail.system.tls import Certificates

# Exit status.
CERTIFICATE: Final = "control/servercert.pem"

SUCCESS: Final = 0  # the client said QUIT
FAILURE: Final = 1  # anything else


@dataclass(frozen=True, slots=True)
class Services:
    """What a session asks of others; what is None is not offered, or not asked.

    `recipient_exists` is asked for every recipient that may be delivered here
    or elsewhere, and says no only if it knows. `verifier` knows passwords,
    `host` is what we are called in a challenge, `certificates` has what TLS
    needs, and `log` gets a line about what the administrator should mend.
    """

    recipient_exists: RecipientCheck | None = None
    verifier: Verifier | None = None
    host: bytes = b""
    certificates: Certificates | None = None
    log: Callable[[bytes], None] | None = None
    read_settings: Callable[[str, Mapping[bytes, bytes]], Settings] = Settings.read

    def tell(self, text: bytes) -> None:
        """Write a line into the log, if there is one."""
        if self.log is not None:
            self.log(text)


async def serve(
    home: str,
    environ: Mapping[bytes, bytes],
    stream: ServerStream,
    queue: AsyncQueue,
    services: Services = Services(),
) -> int:
    """Hold one session and return its exit status."""
    session = _Session(environ, stream, queue, services)
    try:
        return await session.hold(services.read_settings(home, environ))
    except ControlError as error:
        services.tell(error.text)
        return await session.give_up(replies.NO_CONTROLS)
    except MemoryError:
        return await session.give_up(replies.NO_MEMORY)
    except GiveUp as reason:
        return await session.give_up(reason.reply)
    except OSError:
        return FAILURE  # the client is gone
    finally:
        await session.end()


class _Session:
    """The state of one session, beside what the conversation keeps."""

    _settings: Settings
    _transaction: Transaction

    def __init__(
        self,
        environ: Mapping[bytes, bytes],
        stream: ServerStream,
        queue: AsyncQueue,
        services: Services,
    ) -> None:
        self._given = self._environ = environ  # `_given` is without what AUTH adds
        self._peer = environ.get(b"TCPREMOTEIP", b"")
        self._conversation = Conversation(stream)
        self._queue = queue
        self._services = services
        self._hello: bytes | None = None  # what the client calls itself, if that says more
        self._authentication: Authentication | None = None
        self._may_start_tls = False
        self._keeps_wishes = queue.keeps_additions(environ)
        self._incoming: IncomingMessage | None = None
        self._refusal: Reply | None = None  # of a message in chunks, once all of it is here
        self._exit_status = FAILURE

    async def hold(self, settings: Settings) -> int:
        """Talk until the client says QUIT, or breaks off."""
        self._settings = settings
        limits = settings.limits
        engine = ServerSession(
            max_errors=limits.max_errors or sys.maxsize, max_junk=limits.max_junk or sys.maxsize
        )
        self._conversation.begin(engine, settings.timeout)
        received = await self._hear_proxy() if self._peer in settings.trust.proxies else b""
        if b"SMTPS" in self._environ:
            await self._begin_with_tls(received)
            received = b""
        self._forget_client()
        if settings.domains.listed is None and b"RELAYCLIENT" not in self._environ:
            self._services.tell(b"control/rcpthosts is absent: mail is relayed for everybody")
        engine.say(self._greeting())
        engine.receive_data(received)
        while (event := await self._conversation.next_event()) is not None:
            await self._obey(event)
        return self._exit_status

    async def give_up(self, last_words: Reply) -> int:
        """Say why the session ends, if the client still listens."""
        await self._conversation.give_up(last_words)
        return FAILURE

    async def end(self) -> None:
        """Let go of everything."""
        self._conversation.close()
        await self.abandon_message()

    async def abandon_message(self) -> None:
        """Forget the message that was on its way, if there is one."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            await incoming.abandon()

    def _answer(self, answer: Reply) -> None:
        self._conversation.engine.answer(answer)

    async def _hear_proxy(self) -> bytes:
        """Believe what a proxy says, and return what came after it."""
        header = await self._conversation.hear_proxy()
        if header.ends is not None:
            self._given = behind_proxy(self._given, header.ends)
        return header.rest

    # TLS.

    def _tls_context(self) -> ssl.SSLContext | None:
        """Return what a handshake needs; None if TLS cannot be had."""
        if self._services.certificates is None:
            return None
        try:
            context = self._services.certificates.context(self._settings.trust.ciphers)
        except CertificateError as error:
            self._tell_of_tls(str(error))
            return None
        if context is None and self._wants_tls:
            self._tell_of_tls("absent")
        return context

    @property
    def _wants_tls(self) -> bool:
        """Is this service, by its command line, of no use without TLS?"""
        trust = self._settings.trust
        asks_for_passwords = self._services.verifier is not None and not trust.passwords_in_clear
        return asks_for_passwords or b"SMTPS" in self._environ

    def _tell_of_tls(self, why: str) -> None:
        self._services.tell(f"TLS and AUTH not available: {CERTIFICATE}: {why}".encode())

    async def _begin_with_tls(self, received: bytes) -> None:
        context = self._tls_context()
        if context is None:
            raise ConnectionAbortedError  # nobody would understand why
        await self._conversation.start_tls(context, received)

    async def _start_tls(self) -> None:
        context = self._tls_context()
        if context is None:
            self._answer(replies.NO_TLS_NOW)
            return
        await self.abandon_message()
        self._answer(replies.READY_FOR_TLS)
        await self._conversation.send()
        await self._conversation.start_tls(context)
        self._forget_client()

    # Who the client is.

    def _forget_client(self) -> None:
        """Know nothing of the client but what its connection says, and offer what it may use."""
        self._environ = self._given
        self._hello = None
        self._authentication = None
        verbs = []
        if not self._conversation.secure and self._tls_context() is not None:
            verbs.append(b"STARTTLS")
        if self._services.verifier is not None:
            self._authentication = Authentication(
                self._services.verifier, self._services.host or self._settings.greeting
            )
            verbs.append(b"AUTH")
        if self._peer in self._settings.trust.introducers:
            verbs.append(b"XCLIENT")
        self._conversation.engine.offer(*verbs)
        self._may_start_tls = b"STARTTLS" in verbs
        self._transaction = self._new_transaction()

    def _new_transaction(self) -> Transaction:
        return Transaction(
            self._settings,
            self._environ,
            login=self._login,
            exists=self._services.recipient_exists,
            keeps_wishes=self._keeps_wishes,
        )

    @property
    def _login(self) -> bytes | None:
        return None if self._authentication is None else self._authentication.login

    def _introduce(self, event: Introduce) -> Reply:
        if not event.attributes or event.attributes.keys() - INTRODUCTIONS.keys():
            return replies.NOT_AN_ADDRESS
        try:
            self._given = introduced(self._given, event.attributes)
        except NoAddress:
            return replies.NOT_AN_ADDRESS
        self._forget_client()
        return self._greeting()

    async def _authenticate(self, event: Authenticate | AuthenticationResponse) -> None:
        authentication = self._authentication
        assert authentication is not None  # the engine knows AUTH only then
        if isinstance(event, AuthenticationResponse):
            answer = await authentication.go_on(event.data)
        elif authentication.login is not None:
            answer = replies.ALREADY_AUTHENTICATED
        elif not self._may_authenticate():
            answer = replies.AUTH_NEEDS_TLS
        else:
            answer = await authentication.begin(event.mechanism, event.initial)
        self._answer(answer)
        if answer is replies.AUTHENTICATED:
            self._environ = {b"RELAYCLIENT": b"", **self._given}
            self._environ[b"TCPREMOTEINFO"] = authentication.login or b""
            self._transaction = self._new_transaction()
        elif authentication.failures >= MAX_FAILURES:
            self._conversation.engine.close(replies.TOO_MANY_GUESSES)

    def _may_authenticate(self) -> bool:
        return self._conversation.secure or self._settings.trust.passwords_in_clear

    # What the client wants.

    async def _obey(self, event: Event) -> None:
        match event:
            case MessageData(data):
                if self._incoming is not None:
                    await self._incoming.take(data)
            case MessageEnd():
                self._answer(await self._end_message())
            case Data():
                self._answer(await self._begin_message() or GO_AHEAD)
            case Chunk():
                await self._begin_chunk()
            case ChunkEnd():
                self._answer(self._refusal or OK)
            case Recipient():
                self._answer(await self._add_recipient(event))
            case Authenticate() | AuthenticationResponse():
                await self._authenticate(event)
            case StartTls():
                await self._start_tls()
            case _:
                await self._obey_simple(event)

    async def _obey_simple(self, event: Event) -> None:
        """Obey what is answered at once, or not at all; a message on its way is forgotten."""
        await self.abandon_message()
        match event:
            case Hello():
                self._answer(self._greet(event))
            case Mail():
                self._answer(self._begin_transaction(event))
            case Introduce():
                self._answer(self._introduce(event))
            case Reset():
                self._answer(FLUSHED)
            case Quit():
                self._exit_status = SUCCESS
                self._answer(reply(221, self._settings.greeting))

    def _greeting(self) -> Reply:
        return reply(220, self._settings.greeting + b" ESMTP")

    def _greet(self, hello: Hello) -> Reply:
        says_more = hello.domain.lower() != client_of(self._environ).host.lower()
        self._hello = hello.domain if says_more else None
        greeting = self._settings.greeting
        if not hello.extended:
            return reply(250, greeting)
        return Reply(250, (greeting, *self._extensions()))

    def _extensions(self) -> list[bytes]:
        offers = [b"PIPELINING", b"8BITMIME", b"SIZE %d" % (self._settings.max_size or 0)]
        if self._settings.internationalized:
            offers.append(b"SMTPUTF8")
        offers.append(b"CHUNKING")
        if self._keeps_wishes:
            offers.append(b"DSN")
        if self._may_start_tls:
            offers.append(b"STARTTLS")
        if self._authentication is not None and self._login is None and self._may_authenticate():
            offers.append(b"AUTH " + b" ".join(self._authentication.mechanisms))
        if self._peer in self._settings.trust.introducers:
            offers.append(b"XCLIENT " + b" ".join(INTRODUCTIONS))
        return offers

    def _begin_transaction(self, mail: Mail) -> Reply:
        transaction = self._new_transaction()
        try:
            answer = transaction.begin(mail)
        except OSError as error:
            raise GiveUp(replies.NO_ADDRESSES) from error
        if answer.positive:  # else the one before goes on, as in the original
            self._transaction = transaction
        return answer

    async def _add_recipient(self, recipient: Recipient) -> Reply:
        limits = self._settings.limits
        try:
            answer = await self._transaction.add(recipient)
        except OSError as error:
            raise GiveUp(replies.NO_ADDRESSES) from error
        if 0 < limits.tarpit_count < self._transaction.attempts:
            await asyncio.sleep(limits.tarpit_delay)
        return answer

    # The message.

    async def _begin_message(self) -> Reply | None:
        """Be ready for a message, or return why not."""
        self._conversation.expect_message()
        try:
            message = await self._queue.open(self._environ)
        except Failure:
            return replies.NO_QUEUE
        self._incoming = IncomingMessage(message, self._settings.max_size)
        client = client_of(self._environ)
        received = client.received_field(self._protocol(), self._hello, int(time.time()))
        await self._incoming.take_field(received)
        return None

    async def _begin_chunk(self) -> None:
        if self._incoming is None:
            self._refusal = await self._begin_message()

    def _protocol(self) -> bytes:
        """Return what the Received field says of how the message came (RFC 3848, RFC 6531)."""
        if self._transaction.internationalized:
            word = b"UTF8SMTP"
        elif self._conversation.secure or self._login is not None:
            word = b"ESMTP"
        else:
            return b"SMTP"  # as in the original, also after EHLO
        return word + b"S" * self._conversation.secure + b"A" * (self._login is not None)

    async def _end_message(self) -> Reply:
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            assert self._refusal is not None  # or a message would have been begun
            return self._refusal
        envelope = self._transaction
        if incoming.looping or incoming.too_large:
            await incoming.withdraw()
            return replies.LOOPING if incoming.looping else replies.TOO_LARGE
        try:
            additions = tuple(envelope.wishes.records())
            qp = await incoming.commit(envelope.reverse_path, envelope.forward_paths, additions)
        except PermanentFailure as failure:
            return reply(554, failure.text)
        except Failure as failure:
            return reply(451, failure.text)
        return reply(250, b"ok %d qp %d" % (time.time(), qp))


def client_of(environ: Mapping[bytes, bytes]) -> Client:
    """Return who is at the other end, by the variables of tcp-environ(5)."""
    local = environ.get(b"TCPLOCALHOST", environ.get(b"TCPLOCALIP", b"unknown"))
    return Client(
        host=environ.get(b"TCPREMOTEHOST", b"unknown"),
        ip=environ.get(b"TCPREMOTEIP", b"unknown"),
        info=environ.get(b"TCPREMOTEINFO"),
        local=local,
    )
