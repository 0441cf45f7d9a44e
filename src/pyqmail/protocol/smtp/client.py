"""The client side of an SMTP session (RFC 5321), without I/O.

Envelope and message go in, bytes for the server come out; what the server says
goes in, answers come out. Whoever uses it opens the connection and keeps the
time. One session may carry any number of mail transactions.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from pyqmail.protocol.smtp.data_encoder import DataEncoder
from pyqmail.protocol.smtp.server_reply import MalformedReply, ReplyReader, ServerReply, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Commands without an answer yet, where the server lets us pipeline (RFC 2920). Their answers
# must fit into the buffers between us, because we may not read while we write.
WINDOW: Final = 100
CLOSING: Final = 421  # RFC 5321 §3.8: the server ends the session, whatever was asked


class Phase(Enum):
    """What an answer is about."""

    GREETING = auto()
    HELLO = auto()  # EHLO, or HELO where that is refused
    SENDER = auto()  # MAIL
    RECIPIENT = auto()  # RCPT
    DATA = auto()
    MESSAGE = auto()  # the end of data
    RESET = auto()


_POSITIVE: Final = range(200, 400)
# What accepts, as the original has it; but DATA wants 3xx: after anything else
# the server would read the message as commands.
ACCEPTING: Final[Mapping[Phase, range]] = {
    Phase.GREETING: range(220, 221),
    Phase.HELLO: range(250, 251),
    Phase.SENDER: _POSITIVE,
    Phase.RECIPIENT: _POSITIVE,
    Phase.DATA: range(300, 400),
    Phase.MESSAGE: _POSITIVE,
    Phase.RESET: _POSITIVE,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said about one thing."""

    phase: Phase
    reply: ServerReply

    @property
    def verdict(self) -> Verdict:
        """What it means."""
        return self.reply.verdict(ACCEPTING[self.phase])

    @property
    def accepted(self) -> bool:
        """Is it what we wanted to hear?"""
        return self.verdict is Verdict.ACCEPTED


class ClientSession:
    """One SMTP connection, as its client sees it.

    Send `data_to_send()`, give `receive_data()` what arrives, and take
    `next_answer()` until it returns None. The first two answers are those to
    the connection and to our name. When the session is `idle`, `begin()` a
    transaction: its answers come in order, one for MAIL, one for each
    recipient until all are answered, and, if a recipient was accepted, one for
    DATA. If that accepts, `send_message()` and `end_message()`; the last
    answer is about the message.
    """

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._replies = ReplyReader()
        self._to_send: list[bytes] = []
        self._awaited = deque([Phase.GREETING])
        self._waiting: deque[tuple[Phase, bytes]] = deque()  # commands that are not sent yet
        self._extended = False  # was EHLO said?
        self._unanswered_recipients = 0
        self._accepted_recipients = 0
        self._encoder: DataEncoder | None = None
        self.extensions: dict[bytes, bytes] = {}
        self._in_transaction = False
        self.closing = False  # the server has said that it goes

    @property
    def idle(self) -> bool:
        """Is nothing open: no command, no transaction, no message?"""
        return not (self._awaited or self._waiting or self._encoder or self.closing)

    @property
    def reusable(self) -> bool:
        """Can another transaction begin at once?"""
        return self.idle and not self._in_transaction

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._replies.feed(data)

    def data_to_send(self) -> bytes:
        """Return what is to be sent since the last call."""
        pieces, self._to_send = self._to_send, []
        return b"".join(pieces)

    def begin(
        self, reverse_path: bytes, forward_paths: Sequence[bytes], parameters: bytes = b""
    ) -> None:
        """Begin a transaction. Paths are as they stand on the wire, without angle brackets."""
        if not self.idle:
            raise RuntimeError("the session is not idle")
        self._in_transaction = True
        self._unanswered_recipients = len(forward_paths)
        self._accepted_recipients = 0
        self._waiting.append((Phase.SENDER, b"MAIL FROM:<%b>%b" % (reverse_path, parameters)))
        for path in forward_paths:
            self._waiting.append((Phase.RECIPIENT, b"RCPT TO:<%b>" % path))
        self._waiting.append((Phase.DATA, b"DATA"))
        self._send_waiting()

    def send_message(self, data: bytes) -> bytes:
        """Return the next bytes of the message for the wire."""
        assert self._encoder, "DATA was accepted"
        return self._encoder.feed(data)

    def end_message(self) -> bytes:
        """Return the last bytes for the wire, the end of data. Raises PartialLastLine."""
        assert self._encoder, "DATA was accepted"
        wire = self._encoder.finish()
        self._encoder = None
        self._awaited.append(Phase.MESSAGE)
        return wire

    def reset(self) -> None:
        """Forget a transaction that came to nothing, so that another can begin."""
        self._command(Phase.RESET, b"RSET")

    def quit(self) -> None:
        """Say goodbye, if the server is listening; the answer is not worth waiting for."""
        if self.idle:
            self._to_send.append(b"QUIT\r\n")
            self.closing = True

    def next_answer(self) -> Answer | None:
        """Return the next answer, or None if more bytes are needed. Raises MalformedReply."""
        while (reply := self._replies.take()) is not None:
            if not self._awaited:
                raise MalformedReply
            answer = Answer(self._awaited.popleft(), reply)
            if self._follow(answer):
                return answer
        return None

    def _follow(self, answer: Answer) -> bool:
        """Do what the answer leads to; say whether anybody should hear of it."""
        self.closing = self.closing or answer.reply.code == CLOSING
        match answer.phase:
            case Phase.GREETING if answer.accepted:
                self._extended = True
                self._command(Phase.HELLO, b"EHLO " + self._name)
            case Phase.HELLO:
                return self._follow_hello(answer)
            case Phase.SENDER if not answer.accepted:
                self._waiting.clear()
                self._in_transaction = False
            case Phase.MESSAGE | Phase.RESET:
                self._in_transaction = False
            case Phase.RECIPIENT:
                self._unanswered_recipients -= 1
                self._accepted_recipients += answer.accepted
            case Phase.DATA if answer.accepted:
                return self._follow_data()
        self._send_waiting()
        return True

    def _follow_hello(self, answer: Answer) -> bool:
        if self._extended and not answer.accepted and not self.closing:
            self._extended = False
            self._command(Phase.HELLO, b"HELO " + self._name)
            return False
        if self._extended and answer.accepted:
            words = (line.partition(b" ") for line in answer.reply.lines[1:])
            self.extensions = {keyword.upper(): value for keyword, _, value in words}
        return True

    def _follow_data(self) -> bool:
        if self._accepted_recipients:
            self._encoder = DataEncoder()
        else:
            # We had asked before we knew that there is nobody to send it to (RFC 2920 §3.1).
            self._to_send.append(DataEncoder().finish())
            self._awaited.append(Phase.MESSAGE)
        return True

    def _send_waiting(self) -> None:
        window = WINDOW if b"PIPELINING" in self.extensions else 1
        while self._waiting and len(self._awaited) < window:
            phase, command = self._waiting.popleft()
            nobody = not self._unanswered_recipients and not self._accepted_recipients
            if phase is Phase.DATA and nobody:
                return
            self._command(phase, command)

    def _command(self, phase: Phase, command: bytes) -> None:
        if b"\r" in command or b"\n" in command:
            raise ValueError("a command is one line")
        self._awaited.append(phase)
        self._to_send.append(command + b"\r\n")
