"""The server side of an SMTP session (RFC 5321), without I/O.

Bytes go in, events come out; replies go in, bytes come out. The session opens
no socket, reads no clock and knows no mailbox: its caller does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from pyqmail.protocol.lines import LineBuffer, LineTooLong
from pyqmail.protocol.smtp.chunks import ChunkDecoder
from pyqmail.protocol.smtp.commands import (
    COMMANDS,
    CommandRefused,
    decode_base64,
    parse_arguments,
    parse_chunk,
    split_command,
)
from pyqmail.protocol.smtp.data import BareLineFeed, DataDecoder
from pyqmail.protocol.smtp.events import (
    AuthenticationResponse,
    Chunk,
    ChunkEnd,
    Event,
    Hello,
    MessageBroken,
    MessageData,
    MessageEnd,
    Reset,
    StartTls,
)
from pyqmail.protocol.smtp.reply import (
    AUTH_CANCELLED,
    BARE_LINE_FEED,
    BARE_LINE_FEED_IN_CHUNK,
    CANNOT_VERIFY,
    HELP,
    LINE_TOO_LONG,
    OK,
    TOO_MANY_ERRORS,
    UNIMPLEMENTED,
    Reply,
)
from pyqmail.protocol.smtp.states import OUT_OF_ORDER, TRANSITIONS, State, next_state

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bytes without CR LF. RFC 5321 §4.5.3.1.4 wants 512, extensions more, and RFC 4954 §4 the most.
MAX_COMMAND_LINE: Final = 12288

_FIRST_REFUSAL: Final = 400

# Commands that change nothing; the session answers them itself.
COURTESIES: Final[Mapping[bytes, Reply]] = {
    b"NOOP": OK,
    b"HELP": HELP,
    b"VRFY": CANNOT_VERIFY,
}

# Known only after `offer()`: without what they need they are as unknown as in the original.
OPTIONAL: Final = frozenset({b"STARTTLS", b"AUTH", b"XCLIENT"})

# How another protocol begins. A web page can make its visitor's browser send us a
# request whose body is a mail transaction; so no body is ever read.
STRANGERS: Final = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"PATCH", b"TRACE"}
)
TLS_HANDSHAKE: Final = b"\x16\x03"  # type and major version of a record; RFC 8446 §5.1


class ServerSession:
    """One SMTP connection, as its server sees it.

    Call `receive_data()` with what arrived, then `next_event()` until it
    returns None; answer every event with `answer()`, but those that need no
    answer; and send `data_to_send()` before waiting for more. One event is
    open at a time, so a client that pipelines (RFC 2920) is answered in order.

    After `max_errors` refusals, or after `max_junk` commands in a row that
    bring no message nearer, the session is over.
    """

    def __init__(self, *, max_errors: int = sys.maxsize, max_junk: int = sys.maxsize) -> None:
        self.state = State.READY
        self._errors_left = max_errors
        self._max_junk = self._junk_left = max_junk
        self._offered: set[bytes] = set()
        self._chunks: ChunkDecoder | None = None
        self._discard = 0  # bytes of a chunk that is refused
        self._lines = LineBuffer(MAX_COMMAND_LINE)
        self._decoder: DataDecoder | None = None
        self._open_event: Event | None = None
        self._replies: list[bytes] = []

    @property
    def closed(self) -> bool:
        """Is everything said?"""
        return self.state is State.CLOSED

    def receive_data(self, data: bytes) -> None:
        """Take what arrived; call `next_event()` until None before the next piece."""
        if self.state is not State.CLOSED:
            self._lines.feed(data)

    def data_to_send(self) -> bytes:
        """Return the replies since the last call."""
        replies, self._replies = self._replies, []
        return b"".join(replies)

    def offer(self, *verbs: bytes) -> None:
        """Know these commands of OPTIONAL from now on, and none of the others."""
        self._offered = set(verbs)

    def say(self, reply: Reply) -> None:
        """Send a reply that answers no command: the greeting."""
        self._replies.append(reply.to_wire())
        if reply.code >= _FIRST_REFUSAL:
            self._errors_left -= 1

    def close(self, reply: Reply) -> None:
        """Say why the session ends here."""
        self.say(reply)
        self.state = State.CLOSED

    def next_event(self) -> Event | None:
        """Return what the client wants next, or None if more bytes are needed.

        Commands that are unknown, too long, malformed or out of order never
        come out: the session answers them itself.
        """
        if self._open_event is not None:
            raise RuntimeError("the event before this one has had no answer")
        while self.state is not State.CLOSED:
            if self._errors_left < 0 or self._junk_left < 0:
                self.close(TOO_MANY_ERRORS)
                break
            if self._decoder is not None:
                return self._next_of_message(self._decoder)
            if self.state is State.CHUNK:
                return self._next_of_chunk()
            if self._discard:
                self._discard -= len(self._lines.take(self._discard))
                if self._discard:
                    break
            line = self._next_line()
            if line is None:
                break
            event = self._understand(line)
            if event is not None:
                return event
        return None

    def answer(self, reply: Reply) -> None:
        """Answer the open event; a positive reply moves the session on."""
        event, self._open_event = self._open_event, None
        if event is None:
            raise RuntimeError("no event waits for an answer")
        self.say(reply)
        self.state = next_state(self.state, event, reply)
        if self.state is State.MESSAGE:
            self._decoder = DataDecoder()
        if self.state is not State.BETWEEN:
            self._chunks = None
        if isinstance(event, Hello | Reset):
            self._junk_left -= 1
        elif isinstance(event, MessageEnd) and reply.positive:
            self._junk_left = self._max_junk
        elif isinstance(event, StartTls) and reply.positive:
            # Whatever came in the clear after the command was not said by
            # whom the handshake will authenticate. RFC 3207 §6.
            self._lines = LineBuffer(MAX_COMMAND_LINE)

    def _next_line(self) -> bytes | None:
        if self._lines.starts_with(TLS_HANDSHAKE):
            self.close(UNIMPLEMENTED)
            return None
        while True:
            try:
                return self._lines.take_line()
            except LineTooLong:
                self.say(LINE_TOO_LONG)
                if self.state is State.AUTHENTICATION:
                    self.state = State.READY

    def _understand(self, line: bytes) -> Event | None:
        """Return the event that `line` is, or answer it and return None."""
        if self.state is State.AUTHENTICATION:
            return self._understand_response(line)
        verb, argument = split_command(line)
        if b"\n" in line:
            # A bare LF. Whoever takes it for a line end sees other commands here.
            self.say(UNIMPLEMENTED)
        elif verb in STRANGERS:
            self.close(UNIMPLEMENTED)
        elif verb not in COMMANDS or (verb in OPTIONAL and verb not in self._offered):
            self._junk_left -= 1
            self.say(COURTESIES.get(verb, UNIMPLEMENTED))
        elif verb == b"BDAT":
            return self._understand_chunk(argument)
        elif (place := (self.state, COMMANDS[verb])) not in TRANSITIONS:
            self.say(OUT_OF_ORDER[place])
        else:
            return self._understand_command(verb, argument)
        return None

    def _understand_command(self, verb: bytes, argument: bytes) -> Event | None:
        try:
            self._open_event = parse_arguments(verb, argument)
        except CommandRefused as refused:
            self.say(refused.reply)
        return self._open_event

    def _understand_chunk(self, argument: bytes) -> Event | None:
        try:
            chunk = parse_chunk(argument)
        except CommandRefused as refused:
            # How long it is, and so where the next command begins, cannot be known.
            self.close(refused.reply)
            return None
        place = (self.state, Chunk)
        if place not in TRANSITIONS:
            # Its bytes come all the same; they are no commands.
            self._discard = chunk.size
            self.say(OUT_OF_ORDER[place])
            return None
        self._chunks = self._chunks or ChunkDecoder()
        self._chunks.begin(chunk.size, last=chunk.last)
        self.state = State.CHUNK
        return chunk

    def _understand_response(self, line: bytes) -> Event | None:
        """Return what the client answers to 334, or refuse it."""
        if line == b"*":
            self.state = State.READY
            self.say(AUTH_CANCELLED)
            return None
        try:
            self._open_event = AuthenticationResponse(decode_base64(line))
        except CommandRefused as refused:
            self.state = State.READY
            self.say(refused.reply)
        return self._open_event

    # The message.

    def _next_of_chunk(self) -> Event | None:
        chunks = self._chunks
        assert chunks is not None  # the state says so
        data = chunks.feed(self._lines.take(chunks.missing))
        if data:
            return MessageData(data)
        if chunks.missing:
            return None
        if chunks.broken:
            self.state, self._chunks = State.READY, None
            self.say(BARE_LINE_FEED_IN_CHUNK)
            return MessageBroken()
        self._open_event = MessageEnd() if chunks.last else ChunkEnd()
        return self._open_event

    def _next_of_message(self, decoder: DataDecoder) -> Event | None:
        if not decoder.finished:
            try:
                data = decoder.feed(self._lines.take_all())
            except BareLineFeed:
                self.close(BARE_LINE_FEED)
                return MessageBroken()
            if decoder.finished:
                self._lines.feed(decoder.rest)
            if data:
                return MessageData(data)
        if decoder.finished:
            self._decoder = None
            self._open_event = MessageEnd()
        return self._open_event
