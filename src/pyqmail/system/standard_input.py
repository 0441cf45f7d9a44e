"""Standard input as a stream of lines or pieces, with something put before it."""

from __future__ import annotations

import io
import os

from pyqmail.system.files import READ_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def open_input(first: bytes = b"", descriptor: int = 0) -> io.BufferedReader:
    """Return a stream that yields `first`, then what can be read from `descriptor`.

    Only reading fails where the descriptor is closed.
    """
    occupy(descriptor)
    return io.BufferedReader(_Preceded(first, descriptor), READ_SIZE)


def occupy(descriptor: int) -> None:
    """If the descriptor is closed, make it one that cannot be read.

    Else the next file or socket that is opened would get its number, and be
    read as the message.
    """
    try:
        os.fstat(descriptor)
    except OSError:
        unreadable = os.open("/", os.O_PATH)
        if unreadable != descriptor:
            os.dup2(unreadable, descriptor)
            os.close(unreadable)


def pieces_of(stream: io.BufferedReader) -> Iterator[bytes]:
    """Yield what is left of `stream`, never much of it at once."""
    while piece := stream.read1(READ_SIZE):
        yield piece


class _Preceded(io.RawIOBase):
    def __init__(self, first: bytes, descriptor: int) -> None:
        super().__init__()
        self._first = memoryview(first)
        self._descriptor = descriptor

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._first:
            return os.readv(self._descriptor, [buffer])
        length = min(len(buffer), len(self._first))
        buffer[:length] = self._first[:length]
        self._first = self._first[length:]
        return length
