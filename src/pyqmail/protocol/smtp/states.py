"""The states of an SMTP session, and what leads from one to another (RFC 5321 §4.1.4)."""

from __future__ import annotations

from enum import IntEnum, auto
from typing import TYPE_CHECKING, Final

from pyqmail.protocol.smtp.events import (
    Authenticate,
    AuthenticationResponse,
    Chunk,
    ChunkEnd,
    Command,
    Data,
    Event,
    Hello,
    Introduce,
    Mail,
    MessageEnd,
    Quit,
    Recipient,
    Reset,
    StartTls,
)
from pyqmail.protocol.smtp.reply import (
    CHUNK_FIRST,
    MAIL_FIRST,
    NO_AUTH_DURING_MAIL,
    NOT_DURING_MAIL,
    RCPT_FIRST,
    Reply,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTINUE_AUTHENTICATION: Final = 334  # RFC 4954 §4


class State(IntEnum):
    """What the session waits for. A number, for it is looked up at each command."""

    READY = auto()  # MAIL; no HELO is needed, as ever
    SENDER = auto()  # the first RCPT
    RECIPIENT = auto()  # more of them, or DATA, or BDAT
    MESSAGE = auto()  # bytes of the message, after 354
    CHUNK = auto()  # bytes of a chunk
    BETWEEN = auto()  # the next chunk
    AUTHENTICATION = auto()  # an answer to 334
    CLOSED = auto()  # nothing; whatever else arrives is not looked at


# Where each command is allowed, and where a positive reply leads.
TRANSITIONS: Final[Mapping[tuple[State, type[Event]], State]] = {
    (State.READY, Hello): State.READY,
    (State.READY, Mail): State.SENDER,
    (State.READY, Reset): State.READY,
    (State.READY, StartTls): State.READY,
    (State.READY, Authenticate): State.READY,
    (State.READY, Introduce): State.READY,
    (State.READY, Quit): State.CLOSED,
    (State.AUTHENTICATION, AuthenticationResponse): State.READY,
    (State.SENDER, Hello): State.READY,
    (State.SENDER, Mail): State.SENDER,
    (State.SENDER, Recipient): State.RECIPIENT,
    (State.SENDER, Reset): State.READY,
    (State.SENDER, StartTls): State.READY,
    (State.SENDER, Quit): State.CLOSED,
    (State.RECIPIENT, Hello): State.READY,
    (State.RECIPIENT, Mail): State.SENDER,  # legal in qmail; the recipients are forgotten
    (State.RECIPIENT, Recipient): State.RECIPIENT,
    (State.RECIPIENT, Data): State.MESSAGE,
    (State.RECIPIENT, Chunk): State.CHUNK,
    (State.RECIPIENT, Reset): State.READY,
    (State.RECIPIENT, StartTls): State.READY,
    (State.RECIPIENT, Quit): State.CLOSED,
    (State.MESSAGE, MessageEnd): State.READY,
    (State.CHUNK, ChunkEnd): State.BETWEEN,
    (State.CHUNK, MessageEnd): State.READY,
    (State.BETWEEN, Chunk): State.CHUNK,
    (State.BETWEEN, Hello): State.READY,
    (State.BETWEEN, Reset): State.READY,
    (State.BETWEEN, Quit): State.CLOSED,
}

# Where a refusal leads; any other leaves the session where it was.
AFTER_REFUSAL: Final[Mapping[type[Event], State]] = {
    Data: State.READY,  # the transaction is over, as in the original
    ChunkEnd: State.READY,
    MessageEnd: State.READY,
    AuthenticationResponse: State.READY,
}

# What a command that is missing there is answered with.
OUT_OF_ORDER: Final[Mapping[tuple[State, type[Command]], Reply]] = {
    (State.READY, Recipient): MAIL_FIRST,
    (State.READY, Data): MAIL_FIRST,
    (State.READY, Chunk): MAIL_FIRST,
    (State.SENDER, Data): RCPT_FIRST,
    (State.SENDER, Chunk): RCPT_FIRST,
    (State.BETWEEN, Mail): CHUNK_FIRST,
    (State.BETWEEN, Recipient): CHUNK_FIRST,
    (State.BETWEEN, Data): CHUNK_FIRST,
    (State.BETWEEN, StartTls): CHUNK_FIRST,
    **dict.fromkeys(
        ((state, Authenticate) for state in (State.SENDER, State.RECIPIENT, State.BETWEEN)),
        NO_AUTH_DURING_MAIL,
    ),
    **dict.fromkeys(
        ((state, Introduce) for state in (State.SENDER, State.RECIPIENT, State.BETWEEN)),
        NOT_DURING_MAIL,
    ),
}


def next_state(state: State, event: Event, reply: Reply) -> State:
    """Return where the answer to `event` leads."""
    if not reply.positive:
        return AFTER_REFUSAL.get(type(event), state)
    if reply.code == CONTINUE_AUTHENTICATION:
        return State.AUTHENTICATION
    return TRANSITIONS[state, type(event)]
