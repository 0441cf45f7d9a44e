"""The server side of an SMTP session (RFC 5321), without I/O.

Bytes go in, events come out; replies go in, bytes come out. The session opens
no socket, reads no clock and knows no mailbox: its caller does.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from pyqmail.protocol.lines import LineBuffer, LineTooLong
from pyqmail.protocol.smtp.commands import (
    COMMANDS,
    CommandRefused,
    parse_arguments,
    split_command,
)
from pyqmail.protocol.smtp.data import BareLineFeed, DataDecoder
from pyqmail.protocol.smtp.events import (
    Command,
    Data,
    Event,
    Hello,
    Mail,
    MessageBroken,
    MessageData,
    MessageEnd,
    Quit,
    Recipient,
    Reset,
)
from pyqmail.protocol.smtp.reply import (
    BARE_LINE_FEED,
    CANNOT_VERIFY,
    HELP,
    LINE_TOO_LONG,
    MAIL_FIRST,
    OK,
    RCPT_FIRST,
    UNIMPLEMENTED,
    Reply,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bytes without CR LF. RFC 5321 §4.5.3.1.4 wants 512, extensions more, and RFC 4954 §4 the most.
MAX_COMMAND_LINE: Final = 12288


class State(Enum):
    """What the session waits for."""

    READY = auto()  # MAIL; no HELO is needed, as ever
    SENDER = auto()  # the first RCPT
    RECIPIENT = auto()  # more of them, or DATA
    MESSAGE = auto()  # bytes of the message, after 354
    CLOSED = auto()  # nothing; whatever else arrives is not looked at


# Where each command is allowed, and where a positive reply leads.
TRANSITIONS: Final[Mapping[tuple[State, type[Event]], State]] = {
    (State.READY, Hello): State.READY,
    (State.READY, Mail): State.SENDER,
    (State.READY, Reset): State.READY,
    (State.READY, Quit): State.CLOSED,
    (State.SENDER, Hello): State.READY,
    (State.SENDER, Mail): State.SENDER,
    (State.SENDER, Recipient): State.RECIPIENT,
    (State.SENDER, Reset): State.READY,
    (State.SENDER, Quit): State.CLOSED,
    (State.RECIPIENT, Hello): State.READY,
    (State.RECIPIENT, Mail): State.SENDER,  # legal in qmail; the recipients are forgotten
    (State.RECIPIENT, Recipient): State.RECIPIENT,
    (State.RECIPIENT, Data): State.MESSAGE,
    (State.RECIPIENT, Reset): State.READY,
    (State.RECIPIENT, Quit): State.CLOSED,
    (State.MESSAGE, MessageEnd): State.READY,
}

# Where a refusal leads; any other leaves the session where it was.
AFTER_REFUSAL: Final[Mapping[type[Event], State]] = {
    Data: State.READY,  # the transaction is over, as in the original
    MessageEnd: State.READY,
}

# What a command that is missing there is answered with.
OUT_OF_ORDER: Final[Mapping[tuple[State, type[Command]], Reply]] = {
    (State.READY, Recipient): MAIL_FIRST,
    (State.READY, Data): MAIL_FIRST,
    (State.SENDER, Data): RCPT_FIRST,
}

# Commands that change nothing; the session answers them itself.
COURTESIES: Final[Mapping[bytes, Reply]] = {
    b"NOOP": OK,
    b"HELP": HELP,
    b"VRFY": CANNOT_VERIFY,
}


class ServerSession:
    """One SMTP connection, as its server sees it.

    Call `receive_data()` with what arrived, then `next_event()` until it
    returns None; answer every event with `answer()`, but those that need no
    answer; and send `data_to_send()` before waiting for more. One event is
    open at a time, so a client that pipelines (RFC 2920) is answered in order.
    """

    def __init__(self) -> None:
        self.state = State.READY
        self._lines = LineBuffer(MAX_COMMAND_LINE)
        self._decoder: DataDecoder | None = None
        self._open_event: Event | None = None
        self._replies: list[bytes] = []

    def receive_data(self, data: bytes) -> None:
        """Take what arrived; call `next_event()` until None before the next piece."""
        if self.state is not State.CLOSED:
            self._lines.feed(data)

    def data_to_send(self) -> bytes:
        """Return the replies since the last call."""
        replies, self._replies = self._replies, []
        return b"".join(replies)

    def say(self, reply: Reply) -> None:
        """Send a reply that answers no command: the greeting."""
        self._replies.append(reply.to_wire())

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
        if self.state is State.CLOSED:
            return None
        if self._decoder is not None:
            return self._next_of_message(self._decoder)
        return self._next_command()

    def answer(self, reply: Reply) -> None:
        """Answer the open event; a positive reply moves the session on."""
        event, self._open_event = self._open_event, None
        if event is None:
            raise RuntimeError("no event waits for an answer")
        self.say(reply)
        if reply.positive:
            self.state = TRANSITIONS[self.state, type(event)]
        else:
            self.state = AFTER_REFUSAL.get(type(event), self.state)
        if self.state is State.MESSAGE:
            self._decoder = DataDecoder()

    def _next_command(self) -> Command | None:
        while True:
            try:
                line = self._lines.take_line()
            except LineTooLong:
                self.say(LINE_TOO_LONG)
                continue
            if line is None:
                return None
            command = self._understand(line)
            if command is not None:
                self._open_event = command
                return command

    def _understand(self, line: bytes) -> Command | None:
        """Return the command that `line` is, or answer it and return None."""
        if b"\n" in line:
            # A bare LF. Whoever takes it for a line end sees other commands here.
            self.say(UNIMPLEMENTED)
            return None
        verb, argument = split_command(line)
        if verb not in COMMANDS:
            self.say(COURTESIES.get(verb, UNIMPLEMENTED))
            return None
        place = (self.state, COMMANDS[verb])
        if place not in TRANSITIONS:
            self.say(OUT_OF_ORDER[place])
            return None
        try:
            return parse_arguments(verb, argument)
        except CommandRefused as refused:
            self.say(refused.reply)
            return None

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
