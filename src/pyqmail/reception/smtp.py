"""One SMTP session with a client that sends mail; qmail-smtpd(8).

The application over the engine of `protocol.smtp`: it decides who may send
what to whom, and hands messages to the queue as they arrive. It is a
coroutine over (environment, stream) and returns an exit status, so that one
process may hold one session or thousands.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError
from pyqmail.errors import Failure, PermanentFailure
from pyqmail.message.trace import Client
from pyqmail.protocol.smtp.events import (
    Data,
    Hello,
    Mail,
    MessageBroken,
    MessageData,
    MessageEnd,
    Quit,
    Recipient,
    Reset,
)
from pyqmail.protocol.smtp.reply import FLUSHED, GO_AHEAD, OK, SYNTAX_ERROR, Reply, reply
from pyqmail.protocol.smtp.server import ServerSession, State
from pyqmail.reception.incoming import IncomingMessage
from pyqmail.reception.relaying import replace_own_literal
from pyqmail.reception.settings import Settings
from pyqmail.system.interfaces import local_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyqmail.protocol.smtp.events import Event
    from pyqmail.queue.async_client import AsyncQueue
    from pyqmail.system.streams import Stream

# Exit status.
SUCCESS: Final = 0  # the client said QUIT
FAILURE: Final = 1  # anything else

# Seconds that a message may take in all. qmail-queue gives up after as many.
MESSAGE_TIMEOUT: Final = 86400
# Seconds for the last words to a client that may not be there any more.
FAREWELL_TIMEOUT: Final = 10

MAX_ADDRESS: Final = 899  # bytes; the original takes no more
# RFC 5321 §4.5.3.1.8 wants 100. If all are as long as they may be, these take 9 MB.
MAX_RECIPIENTS: Final = 10000

NO_CONTROLS: Final = reply(421, b"unable to read controls (#4.3.0)")
NO_ADDRESSES: Final = reply(421, b"unable to figure out my IP addresses (#4.3.0)")
NO_MEMORY: Final = reply(421, b"out of memory (#4.3.0)")
TIMEOUT: Final = reply(451, b"timeout (#4.4.2)")
NO_QUEUE: Final = reply(451, b"qqt failure (#4.3.0)")
TOO_MANY_RECIPIENTS: Final = reply(452, b"too many recipients (#4.5.3)")
NO_SUCH_MAILBOX: Final = reply(550, b"sorry, no mailbox here by that name. (#5.1.1)")
TOO_LARGE: Final = reply(552, b"sorry, that message size exceeds my databytes limit (#5.3.4)")
BAD_SENDER: Final = reply(553, b"sorry, your envelope sender is in my badmailfrom list (#5.7.1)")
BAD_RECIPIENT: Final = reply(553, b"sorry, that recipient is in my badrcptto list (#5.7.1)")
NO_RELAYING: Final = reply(
    553, b"sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"
)
LOOPING: Final = reply(554, b"too many hops, this message is looping (#5.4.6)")


async def serve(  # noqa: PLR0913  what a session stands on
    home: str,
    environ: Mapping[bytes, bytes],
    stream: Stream,
    queue: AsyncQueue,
    *,
    recipient_exists: Callable[[bytes], bool] | None = None,
    log: Callable[[bytes], None] | None = None,
) -> int:
    """Hold one session and return its exit status.

    `recipient_exists` is asked for every recipient that may be delivered here
    or elsewhere, and says no only if it knows; without it all are taken.
    `log` gets a line about what the administrator should mend.
    """
    session = _Session(environ, stream, queue, recipient_exists)
    try:
        return await session.hold(Settings.read(home, environ))
    except ControlError as error:
        if log is not None:
            log(error.text)
        return await session.give_up(NO_CONTROLS)
    except MemoryError:
        return await session.give_up(NO_MEMORY)
    except _GiveUp as reason:
        return await session.give_up(reason.reply)
    except OSError:
        return FAILURE  # the client is gone
    finally:
        await session.abandon_message()


class _GiveUp(Exception):  # noqa: N818  it ends a session, it is not an error of ours
    """The session cannot go on; `reply` tells the client why."""

    def __init__(self, last_words: Reply) -> None:
        super().__init__(last_words)
        self.reply = last_words


@dataclass(slots=True)
class _Transaction:
    """The envelope so far."""

    reverse_path: bytes
    forward_paths: list[bytes] = field(default_factory=list)


class _Session:
    """The state of one session, beside what the engine keeps."""

    def __init__(
        self,
        environ: Mapping[bytes, bytes],
        stream: Stream,
        queue: AsyncQueue,
        recipient_exists: Callable[[bytes], bool] | None,
    ) -> None:
        self._environ = environ
        self._stream = stream
        self._queue = queue
        self._recipient_exists = recipient_exists
        self._engine = ServerSession()
        self._client = client_of(environ)
        self._hello: bytes | None = None  # what the client calls itself, if that says more
        self._transaction = _Transaction(b"")
        self._incoming: IncomingMessage | None = None
        self._deadline = 0.0  # of the command or message that is awaited, on the loop's clock
        self._exit_status = FAILURE

    async def hold(self, settings: Settings) -> int:
        """Talk until the client says QUIT, or breaks off."""
        self._settings = settings
        self._engine.say(reply(220, settings.greeting + b" ESMTP"))
        while self._engine.state is not State.CLOSED:
            event = self._engine.next_event()
            if event is None:
                await self._send()
                self._engine.receive_data(await self._receive())
            else:
                await self._obey(event)
        await self._send()
        return self._exit_status

    async def give_up(self, last_words: Reply) -> int:
        """Say why the session ends, if the client still listens."""
        self._engine.close(last_words)
        with suppress(OSError):
            async with asyncio.timeout(FAREWELL_TIMEOUT):
                await self._stream.write(self._engine.data_to_send())
        return FAILURE

    async def abandon_message(self) -> None:
        """Forget the message that was on its way, if there is one."""
        if self._incoming is not None:
            await self._incoming.abandon()

    # The stream.

    async def _send(self) -> None:
        """Send all replies; the time for what the client does next begins."""
        replies = self._engine.data_to_send()
        if not replies:
            return
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._stream.write(replies)
        except TimeoutError as error:  # there is no point in telling it
            raise ConnectionAbortedError from error
        limit = self._settings.timeout
        if self._engine.state is State.MESSAGE:
            limit = MESSAGE_TIMEOUT
        self._deadline = asyncio.get_running_loop().time() + limit

    async def _receive(self) -> bytes:
        """Return what the client sent: in time, and as part of something that is in time."""
        remaining = self._deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._settings.timeout, remaining)):
                data = await self._stream.read()
        except TimeoutError as error:
            raise _GiveUp(TIMEOUT) from error
        if not data:
            raise ConnectionResetError
        return data

    # What the client wants.

    async def _obey(self, event: Event) -> None:
        match event:
            case MessageData(data):
                assert self._incoming is not None  # DATA was answered with 354
                await self._incoming.take(data)
            case MessageEnd():
                self._engine.answer(await self._end_message())
            case MessageBroken():
                pass  # the session is closed, and the message abandoned with it
            case Data():
                self._engine.answer(await self._begin_message())
            case Hello():
                self._engine.answer(self._greet(event))
            case Mail():
                self._engine.answer(self._begin_transaction(event))
            case Recipient():
                self._engine.answer(self._add_recipient(event.forward_path))
            case Reset():
                self._engine.answer(FLUSHED)
            case Quit():
                self._exit_status = SUCCESS
                self._engine.answer(reply(221, self._settings.greeting))

    def _greet(self, hello: Hello) -> Reply:
        says_more = hello.domain.lower() != self._client.host.lower()
        self._hello = hello.domain if says_more else None
        greeting = self._settings.greeting
        if not hello.extended:
            return reply(250, greeting)
        size = b"SIZE %d" % (self._settings.max_size or 0)
        return Reply(250, (greeting, b"PIPELINING", b"8BITMIME", size))

    def _begin_transaction(self, mail: Mail) -> Reply:
        reverse_path = self._complete(mail.reverse_path)
        if len(reverse_path) > MAX_ADDRESS:
            return SYNTAX_ERROR
        limit = self._settings.max_size
        if limit is not None and (mail.size or 0) > limit:
            return TOO_LARGE
        self._transaction = _Transaction(reverse_path)
        return OK

    def _add_recipient(self, forward_path: bytes) -> Reply:
        forward_path = self._complete(forward_path)
        refusal = self._refusal_of(forward_path)
        if refusal is not None:
            return refusal
        forward_path += self._environ.get(b"RELAYCLIENT", b"")
        if self._recipient_exists is not None and not self._recipient_exists(forward_path):
            return NO_SUCH_MAILBOX
        if len(self._transaction.forward_paths) >= MAX_RECIPIENTS:
            return TOO_MANY_RECIPIENTS
        self._transaction.forward_paths.append(forward_path)
        return OK

    def _refusal_of(self, forward_path: bytes) -> Reply | None:
        if len(forward_path) > MAX_ADDRESS:
            return SYNTAX_ERROR
        if self._transaction.reverse_path in self._settings.bad_senders:
            return BAD_SENDER
        if forward_path in self._settings.bad_recipients:
            return BAD_RECIPIENT
        if b"RELAYCLIENT" not in self._environ and not self._settings.domains.take(forward_path):
            return NO_RELAYING
        return None

    def _complete(self, address: bytes) -> bytes:
        try:
            return replace_own_literal(address, self._settings.local_host, _is_ours)
        except OSError as error:
            raise _GiveUp(NO_ADDRESSES) from error

    # The message.

    async def _begin_message(self) -> Reply:
        try:
            message = await self._queue.open(self._environ)
        except Failure:
            return NO_QUEUE
        self._incoming = IncomingMessage(message, self._settings.max_size)
        # Always SMTP, as in the original, also after EHLO.
        received = self._client.received_field(b"SMTP", self._hello, int(time.time()))
        await self._incoming.take_field(received)
        return GO_AHEAD

    async def _end_message(self) -> Reply:
        incoming, self._incoming = self._incoming, None
        assert incoming is not None  # DATA was answered with 354
        envelope = self._transaction
        if incoming.looping or incoming.too_large:
            await incoming.withdraw()
            return LOOPING if incoming.looping else TOO_LARGE
        try:
            qp = await incoming.commit(envelope.reverse_path, envelope.forward_paths)
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


def _is_ours(address: bytes) -> bool:
    return address in local_addresses()
