"""Lines that end with CR LF, taken out of bytes that arrive in any pieces.

Only CR LF ends a line. A bare LF or CR stays inside it, and who reads the line
refuses it: if two servers on the way disagree about where a line ends, one
message can hide inside another. RFC 5321 §2.3.8.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_CRLF: Final = b"\r\n"


class LineTooLong(Exception):  # noqa: N818  it says what the peer sent, not what is wrong here
    """A line had more bytes than allowed; it is dropped, and the next one is whole."""


class LineBuffer:
    """Keeps what arrived until it is a line.

    Of a line without end no more than `limit` bytes and the next piece are kept.
    """

    __slots__ = ("_limit", "_received", "_too_long")

    def __init__(self, limit: int) -> None:
        self._limit = limit  # bytes of a line, CR LF not included
        self._received = b""
        self._too_long = False

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        self._received += data

    def take_line(self) -> bytes | None:
        """Return the next line without its CR LF, or None if more bytes are needed.

        Raises LineTooLong once for each line that is.
        """
        line, crlf, rest = self._received.partition(_CRLF)
        if not crlf:
            # The last byte may be half of a CR LF, so it does not count yet.
            if len(line) > self._limit + 1:
                self._too_long = True
                self._received = line[-1:]
            return None
        self._received = rest
        if self._too_long or len(line) > self._limit:
            self._too_long = False
            raise LineTooLong
        return line

    def starts_with(self, prefix: bytes) -> bool:
        """Does what is not yet taken begin so, at the start of a line?"""
        return not self._too_long and self._received.startswith(prefix)

    def take(self, size: int) -> bytes:
        """Return what is not yet taken, but no more than `size` bytes."""
        received, self._received = self._received[:size], self._received[size:]
        return received

    def take_all(self) -> bytes:
        """Return everything that is not yet taken; the buffer is empty then."""
        received, self._received = self._received, b""
        return received
