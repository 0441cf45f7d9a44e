"""What a text asks of those who carry it: its transfer encoding and its character set (RFC 2045).

Each class is fed with a text in pieces, as large as it may be, and keeps a few
bytes of it.
"""

from __future__ import annotations

import codecs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_LINE: Final = 998  # bytes without the line end; RFC 5322 §2.1.1, RFC 2045 §2.7 and §2.8

_NO_EMPTY_LINE: Final = -1


class Form:
    """What has to be known of a text before it can stand between two boundaries.

    Lines end with LF here, and with CR LF on the wire.
    """

    __slots__ = ("_boundary", "_has_8bit", "_is_binary", "_line", "_tail", "has_boundary")

    def __init__(self, boundary: bytes) -> None:
        self.has_boundary = False
        self._boundary = boundary
        self._has_8bit = False
        self._is_binary = False
        self._line = 0  # bytes of the line that is not yet at its end
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Look at the next bytes."""
        seam = self._tail + data
        self.has_boundary |= self._boundary in seam
        self._tail = seam[1 - len(self._boundary) :]
        self._has_8bit |= not data.isascii()
        self._is_binary |= b"\0" in data or _has_bare_return(seam) or self._has_long_line(data)

    def _has_long_line(self, data: bytes) -> bool:
        first, *others = data.split(b"\n")
        first_length = self._line + len(first)
        self._line = len(others[-1]) if others else first_length
        return max(first_length, max(map(len, others), default=0)) > MAX_LINE

    @property
    def encoding(self) -> bytes:
        """The Content-Transfer-Encoding that is true of the text so far (RFC 2045 §6.2)."""
        if self._is_binary or self._tail.endswith(b"\r"):
            return b"binary"
        return b"8bit" if self._has_8bit else b"7bit"


def _has_bare_return(data: bytes) -> bool:
    """Say whether a CR is followed by something else than LF."""
    returns = data.count(b"\r") - data.endswith(b"\r")
    return returns > data.count(b"\r\n")


class Characters:
    """Which character set a text is in, as far as that can be told from its bytes."""

    __slots__ = ("_decoder", "_is_ascii", "_is_utf8")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_ascii = True
        self._is_utf8 = True

    def feed(self, data: bytes) -> None:
        """Look at the next bytes."""
        self._is_ascii &= data.isascii()
        if self._is_utf8 and not self._is_ascii:
            self._decode(data, final=False)

    def _decode(self, data: bytes, *, final: bool) -> None:
        try:
            self._decoder.decode(data, final)
        except UnicodeDecodeError:
            self._is_utf8 = False

    @property
    def charset(self) -> bytes:
        """The name for a Content-Type field, of the text so far; RFC 1428 has the last."""
        if self._is_ascii:
            return b"us-ascii"
        return b"utf-8" if self._is_utf8 and not self._decoder.getstate()[0] else b"unknown-8bit"


class HeaderCharacters:
    """Which character set the header section of a message is in."""

    __slots__ = ("_characters", "_in_header", "_tail")

    def __init__(self) -> None:
        self._characters = Characters()
        self._in_header = True
        self._tail = b"\n"  # an empty line at the very beginning ends it too

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the message."""
        if not self._in_header:
            return
        seam = self._tail + data
        end = _end_of_header(seam)
        self._in_header = end < 0
        self._characters.feed(data if end < 0 else data[: max(end - len(self._tail), 0)])
        self._tail = seam[-2:]

    @property
    def is_international(self) -> bool:
        """Does it need RFC 6532?"""
        return self._characters.charset == b"utf-8"


def _end_of_header(data: bytes) -> int:
    """Return where the first empty line is; negative if there is none."""
    ends = [data.find(b"\n\n"), data.find(b"\n\r\n")]
    return min([end for end in ends if end >= 0], default=_NO_EMPTY_LINE)
