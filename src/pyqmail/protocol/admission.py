"""What the front of a POP3 server and its porter say to each other; see docs/decisions/0030.

A request is one packet of a socket that all connections share; with it come a socket for the
talk about this request, and the connection that the session shall have. Over the talk go
packets too: the porter's challenges and verdict, the client's responses.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PACKET: Final = 65536  # bytes; what tcp-environ(5) and two lines of a client need is far less

# Kinds of requests: a name with a password and a timestamp, a SASL mechanism with the initial
# response (or none), and the question which mechanisms there are.
PASSWORD: Final = b"P"
MECHANISM: Final = b"S"
QUESTION: Final = b"M"

# What the porter says: a challenge for the client; come in; this was it, with an exit status;
# these mechanisms.
CHALLENGE: Final = b"C"
COME_IN: Final = b"I"
END: Final = b"E"
ANSWER: Final = b"A"
# What the front says in such a talk: what the client answered.
RESPONSE: Final = b"R"

_LENGTH: Final = struct.Struct(">I")


class TooLong(ValueError):  # noqa: N818  it says what is wrong with it
    """A request does not fit into a packet."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants, and the variables of its connection."""

    kind: bytes
    environ: Mapping[bytes, bytes]
    fields: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Return the packet. Raises TooLong."""
        environ = b"\0".join(b"=".join(item) for item in self.environ.items())
        parts = (self.kind, environ, *self.fields)
        packet = b"".join(_LENGTH.pack(len(part)) + part for part in parts)
        if len(packet) > MAX_PACKET:
            raise TooLong
        return packet

    @classmethod
    def parse(cls, packet: bytes) -> Self:
        """Read what `encode()` made. Raises ValueError for anything else."""
        parts, position = [], 0
        while position < len(packet):
            start = position + _LENGTH.size
            if start > len(packet):
                raise ValueError(packet[position:])
            (length,) = _LENGTH.unpack_from(packet, position)
            position = start + length
            if position > len(packet):
                raise ValueError(length)
            parts.append(packet[start:position])
        kind, environ, *fields = parts
        variables = [item.partition(b"=") for item in environ.split(b"\0") if item]
        return cls(kind, {name: value for name, _, value in variables}, tuple(fields))
