"""What a server answers, as a client reads it: as leniently as the original.

LF ends a line, and CR counts nowhere. Only the code of the first line counts;
whatever it is made of is taken for digits, so that words which are no reply
refuse. The text is kept to be quoted in a report.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

KEPT_TEXT: Final = 5000  # bytes of a reply that are kept; the original's HUGESMTPTEXT
MAX_REPLY: Final = 262144  # bytes of a reply, all lines together; the longest known has 2000
_CODE: Final = 3  # bytes


class MalformedReply(Exception):  # noqa: N818  it says what the server sent
    """What came is no reply, or one without end, or nobody asked for it."""


class Verdict(Enum):
    """What a reply means for what it answers."""

    ACCEPTED = auto()
    TRANSIENT = auto()
    PERMANENT = auto()


@dataclass(frozen=True, slots=True)
class ServerReply:
    """A reply: its code, and the bytes of its lines, each with LF, without CR, perhaps cut."""

    code: int
    text: bytes

    @property
    def lines(self) -> list[bytes]:
        """The text of each line, without the code."""
        return [line[_CODE + 1 :] for line in self.text.split(b"\n") if line]

    def verdict(self, accepting: range) -> Verdict:
        """Say what the reply means where the codes `accepting` accept."""
        if self.code in accepting:
            return Verdict.ACCEPTED
        # Below 200, or positive where it should not be: nobody knows. So: later.
        return Verdict.PERMANENT if self.code >= 500 else Verdict.TRANSIENT  # noqa: PLR2004


class ReplyReader:
    """Give `feed()` what arrives, and `take()` replies until it returns None."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._searched = 0  # so many bytes of what was received hold no LF
        self._code: int | None = None  # of the reply that is being read
        self._text = b""
        self._length = 0  # bytes of its complete lines

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        self._received += data.replace(b"\r", b"")

    @property
    def has_more(self) -> bool:
        """Has anything arrived that is in no reply yet?"""
        return bool(self._received) or self._code is not None

    def take(self) -> ServerReply | None:
        """Return the next reply, or None if more bytes are needed. Raises MalformedReply."""
        while (line := self._take_line()) is not None:
            if self._code is None:
                self._code = _code_of(line)
            if len(self._text) < KEPT_TEXT:
                self._text = (self._text + line)[:KEPT_TEXT]
            # A line too short for a code is no last one: skipping it keeps us in step.
            if len(line) > _CODE and line[_CODE : _CODE + 1] != b"-":
                reply = ServerReply(self._code, self._text)
                self._code, self._text, self._length = None, b"", 0
                return reply
        return None

    def _take_line(self) -> bytes | None:
        end = self._received.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._received)
            if self._length + self._searched > MAX_REPLY:
                raise MalformedReply
            return None
        line = bytes(self._received[: end + 1])
        del self._received[: end + 1]
        self._searched = 0
        self._length += len(line)
        if self._length > MAX_REPLY:
            raise MalformedReply
        return line


def _code_of(line: bytes) -> int:
    if len(line) <= _CODE:  # LF included
        raise MalformedReply
    first, second, third = (byte - ord("0") for byte in line[:_CODE])
    # The original computes without a sign: what is below zero is a very large number there.
    return (first * 100 + second * 10 + third) % 2**64
