"""The client side of an SMTP session (RFC 5321), without I/O.

Envelope and message go in, bytes for the server come out; what the server says
goes in, answers come out. Whoever uses it opens the connection, speaks TLS and
keeps the time. One session may carry any number of mail transactions.
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

    from pyqmail.protocol.smtp.client_auth import ClientExchange

# Commands without an answer yet, where the server lets us pipeline (RFC 2920). Their answers
# must fit into the buffers between us, because we may not read while we write.
WINDOW: Final = 100
CLOSING: Final = 421  # RFC 5321 §3.8: the server ends the session, whatever was asked


class Phase(Enum):
    """What an answer is about."""

    GREETING = auto()
    HELLO = auto()  # EHLO, or HELO where that is refused
    SECURITY = auto()  # STARTTLS
    LOGIN = auto()  # AUTH
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
    Phase.SECURITY: range(220, 221),  # RFC 3207 §4
    Phase.LOGIN: range(200, 300),  # what is below 400 and no end is a challenge
    Phase.SENDER: _POSITIVE,
    Phase.RECIPIENT: _POSITIVE,
    Phase.DATA: range(300, 400),
    Phase.MESSAGE: _POSITIVE,
    Phase.RESET: _POSITIVE,
}


CONTINUE: Final = 334  # RFC 4954 §4: a challenge


@dataclass(frozen=True, slots=True)
class Path:
    """A reverse-path or forward-path as it stands on the wire, without angle brackets.

    `parameters` follow it; each begins with a space.
    """

    address: bytes
    parameters: bytes = b""


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
    the connection and to our name. While the session is `idle`, there may be

    - `ask_for_tls()`: one answer. If it accepts, speak TLS and call `secured()`:
      one more answer, to our name.
    - `authenticate()`: one answer, when all is said.
    - `begin()`: a transaction. Its answers come in order: one for RSET if one
      is needed, one for MAIL, one for each recipient until all are answered,
      and, if a recipient was accepted, one for DATA. If that accepts,
      `send_message()` and `end_message()`; the last answer is about the message.
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
        self._exchange: ClientExchange | None = None
        self._in_transaction = False
        self._sender_refused = False
        self.extensions: dict[bytes, bytes] = {}
        self.closing = False  # the server has said that it goes

    @property
    def idle(self) -> bool:
        """Is nothing open: no command and no message? A transaction may have come to nothing."""
        return not (self._awaited or self._waiting or self._encoder or self.closing)

    @property
    def undecided(self) -> bool:
        """Has a message come to its end, and not been answered?"""
        return Phase.MESSAGE in self._awaited

    @property
    def needs_reset(self) -> bool:
        """Will the next transaction begin with RSET, because the last came to nothing?"""
        return self._in_transaction

    @property
    def awaited(self) -> Phase:
        """What the next answer is about."""
        assert self._awaited, "something was asked"
        return self._awaited[0]

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._replies.feed(data)

    def data_to_send(self) -> bytes:
        """Return what is to be sent since the last call."""
        pieces, self._to_send = self._to_send, []
        return b"".join(pieces)

    def ask_for_tls(self) -> None:
        """Say STARTTLS."""
        self._require_idleness()
        self._command(Phase.SECURITY, b"STARTTLS")

    def secured(self) -> None:
        """Go on under TLS: what the server has said of itself before counts no more."""
        self._require_idleness()
        self.extensions = {}
        self._extended = True
        self._command(Phase.HELLO, b"EHLO " + self._name)

    def authenticate(self, exchange: ClientExchange) -> None:
        """Say who we are."""
        self._require_idleness()
        self._exchange = exchange
        self._command(Phase.LOGIN, exchange.command())

    def begin(self, sender: Path, recipients: Sequence[Path]) -> None:
        """Begin a transaction."""
        self._require_idleness()
        if self._in_transaction:
            self._waiting.append((Phase.RESET, b"RSET"))
        self._in_transaction = True
        self._sender_refused = False
        self._unanswered_recipients = len(recipients)
        self._accepted_recipients = 0
        mail = b"MAIL FROM:<%b>%b" % (sender.address, sender.parameters)
        self._waiting.append((Phase.SENDER, mail))
        for path in recipients:
            rcpt = b"RCPT TO:<%b>%b" % (path.address, path.parameters)
            self._waiting.append((Phase.RECIPIENT, rcpt))
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
            case Phase.SECURITY if answer.accepted and self._replies.has_more:
                # Said in the clear, to be heard as if it came under TLS (CVE-2011-0411).
                raise MalformedReply
            case Phase.LOGIN:
                return self._follow_login(answer)
            case Phase.SENDER if not answer.accepted:
                self._waiting.clear()
                self._in_transaction = False
                self._sender_refused = True
            case Phase.MESSAGE:
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

    def _follow_login(self, answer: Answer) -> bool:
        assert self._exchange, "AUTH was said"
        if answer.reply.code == CONTINUE:
            if self._exchange.over:
                raise MalformedReply  # it would ask for ever
            self._command(Phase.LOGIN, self._exchange.respond(answer.reply.lines[0]))
            return False
        self._exchange = None
        return True

    def _follow_data(self) -> bool:
        if self._accepted_recipients and not self._sender_refused:
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

    def _require_idleness(self) -> None:
        if not self.idle:
            raise RuntimeError("the session is not idle")
