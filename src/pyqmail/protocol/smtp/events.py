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
class MessageData:
    """The next bytes of the message, lines ending with LF, dots removed. Needs no answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The message is complete; the answer says whether it is accepted."""


@dataclass(frozen=True, slots=True)
class MessageBroken:
    """The message cannot go on, and the session is over: forget it. Needs no answer."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT: the answer is the last thing said."""


Command = Hello | Mail | Recipient | Reset | Data | Quit
Event = Command | MessageData | MessageEnd | MessageBroken
