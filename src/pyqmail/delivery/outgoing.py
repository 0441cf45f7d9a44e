"""A message on its way out: read from an open file, from its start for each host."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from pyqmail.delivery.remote_texts import UNREADABLE_MESSAGE, Undeliverable

READ_SIZE: Final = 65536  # bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """What can be told of a message before it is sent (RFC 1870, RFC 6152)."""

    size: int  # bytes on the wire, but for doubled dots
    has_eight_bits: bool
    has_eight_bits_in_header: bool


class OutgoingMessage:
    """The message that `descriptor` reads, from where it stands."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._facts: Facts | None = None
        self._untouched = True
        try:
            self._start = os.lseek(descriptor, 0, os.SEEK_CUR)
            self._seekable = True
        except OSError:
            self._seekable = False  # a pipe

    def rewind(self) -> bool:
        """Go back to the start; say whether that worked."""
        if self._seekable and not self._untouched:
            os.lseek(self._descriptor, self._start, os.SEEK_SET)
            self._untouched = True
        return self._untouched

    def read(self) -> bytes:
        """Return the next bytes; b"" at the end. Raises Undeliverable."""
        self._untouched = False
        try:
            return os.read(self._descriptor, READ_SIZE)
        except OSError as error:
            raise Undeliverable(UNREADABLE_MESSAGE) from error

    def facts(self) -> Facts | None:
        """Return what the message is like; None if it can be read only once. Raises Undeliverable.

        It is read for that, once.
        """
        if self._facts is None and self._seekable:
            self._facts = self._examine()
        return self._facts

    def _examine(self) -> Facts:
        size, position, ascii_only = 0, self._start, True
        header = _Header()
        try:
            while piece := os.pread(self._descriptor, READ_SIZE, position):
                position += len(piece)
                size += len(piece) + piece.count(b"\n") - piece.count(b"\r\n")
                if not piece.isascii():
                    ascii_only = False
                header.look_at(piece)
        except OSError as error:
            raise Undeliverable(UNREADABLE_MESSAGE) from error
        return Facts(size, not ascii_only, header.has_eight_bits)


class _Header:
    """Looks at a message, piece by piece, until its header section ends."""

    def __init__(self) -> None:
        self.has_eight_bits = False
        self._ended = False
        self._last = b"\n"  # an empty line may stand at once, or across two pieces

    def look_at(self, piece: bytes) -> None:
        """Take the next piece."""
        if self._ended:
            return
        text = (self._last + piece).replace(b"\r\n", b"\n")
        section, end, _ = text.partition(b"\n\n")
        self._ended = bool(end)
        self.has_eight_bits = self.has_eight_bits or not section.isascii()
        self._last = piece[-2:]
