"""What a client wants, once the engine has understood it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Hello:
    """HELO, or EHLO if `extended`; `domain` is whatever the client calls itself."""

    domain: bytes
    extended: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL: a new transaction; one that was open is forgotten.

    `parameters` holds what stood after the path, keywords in capitals; `size`
    is the number that SIZE announced (RFC 1870).
    """

    reverse_path: bytes
    parameters: Mapping[bytes, bytes] = field(default_factory=dict)
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """RCPT: one more recipient."""

    forward_path: bytes
    parameters: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reset:
    """RSET: forget the transaction."""


@dataclass(frozen=True, slots=True)
class Data:
    """DATA: may the message come? A positive answer is 354."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """BDAT (RFC 3030): the first or next `size` bytes of the message come. Needs no answer yet.

    MessageData follows, then ChunkEnd, or after the `last` chunk MessageEnd.
    """

    size: int
    last: bool


@dataclass(frozen=True, slots=True)
class MessageData:
    """The next bytes of the message, lines ending with LF, dots removed. Needs no answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ChunkEnd:
    """A chunk is complete, and others follow; a refusal ends the transaction."""


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The message is complete; the answer says whether it is accepted."""


@dataclass(frozen=True, slots=True)
class MessageBroken:
    """The message cannot go on, and the client is told so: forget it. Needs no answer.

    The session is over, unless the message came in chunks.
    """


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS (RFC 3207). After a positive answer the handshake comes; all else is forgotten."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTH (RFC 4954): 235 is success, 334 asks for an AuthenticationResponse.

    `initial` is the initial response, decoded; None if there is none.
    """

    mechanism: bytes
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class AuthenticationResponse:
    """What the client answers to a 334, decoded; to be answered as AUTH is."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Introduce:
    """XCLIENT: a trusted client says for whom it speaks. A positive answer is a greeting.

    Names of attributes are in capitals; values are decoded, None where unknown.
    """

    attributes: Mapping[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT: the answer is the last thing said."""


Command = (
    Hello | Mail | Recipient | Reset | Data | Chunk | StartTls | Authenticate | Introduce | Quit
)
Event = Command | MessageData | ChunkEnd | MessageEnd | MessageBroken | AuthenticationResponse
