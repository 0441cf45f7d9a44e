"""The envelope of a message, as bytes: from a client, and as a file; qmail-envelope(5).

A client gives `F` reverse path NUL, then `T` forward path NUL for each
recipient, then one NUL. The file in todo/ holds the same records without the
last NUL, after `u` uid NUL and `p` process number NUL. Behind the reverse
path there may be additional records, `p` SPACE text NUL, about what the sender
wants to hear: an original qmail-send reads no number in them, and goes on. The files in local/ and
remote/ hold `T` records, whose letter becomes `D` when the recipient is done.
"""

from __future__ import annotations

from pyqmail.errors import TransientFailure
from pyqmail.queue.outcome import ADDRESS_TOO_LONG, BAD_ENVELOPE, QueueFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

MAX_ADDRESS: Final = 1002  # bytes before the NUL; qmail-queue takes no more

# Bytes of one record in a file. qmail-queue writes at most 1004; a file with more is no envelope.
MAX_RECORD: Final = 65536

ADDITION: Final = b"p "  # how an additional record begins
MAX_ADDITION: Final = 2048  # bytes before the NUL: an address and two parameters of DSN

_NUL: Final = 0
_P: Final = ord("p")
_F: Final = ord("F")
_T: Final = ord("T")


class DamagedEnvelope(TransientFailure):
    """A file of the queue is not what it should be; a human must look."""


class EnvelopeParser:
    """Checks an envelope as it comes from a client, in pieces of any size.

    `feed()` gives back the part of each piece that belongs into the file.
    Nothing is kept between calls but a few numbers. When `finished`, further
    bytes are ignored, as qmail-queue never reads them.
    """

    __slots__ = ("_length", "_limit", "_wanted", "finished")

    def __init__(self) -> None:
        self.finished = False
        self._wanted: tuple[int, ...] = (_F,)  # letters that may come next
        self._limit = MAX_ADDRESS
        self._length = -1  # of the address that is open; -1 between records

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of `data` to be stored; raise QueueFailure if it is no envelope."""
        position = 0
        while position < len(data) and not self.finished:
            if self._length < 0:
                if data[position] == _NUL and _T in self._wanted:
                    self.finished = True
                    return data[:position]
                self._begin(data[position])
                position += 1
            end = data.find(b"\0", position)
            self._length += (len(data) if end < 0 else end) - position
            if self._length > self._limit:
                raise QueueFailure(ADDRESS_TOO_LONG)
            if end < 0:
                return data
            self._length = -1
            position = end + 1
        return b"" if self.finished else data

    def _begin(self, letter: int) -> None:
        """Begin a record; raise QueueFailure if there can be none of this kind here."""
        if letter not in self._wanted:
            raise QueueFailure(BAD_ENVELOPE)
        self._limit = MAX_ADDITION if letter == _P else MAX_ADDRESS
        self._wanted = (_T,) if letter == _T else (_T, _P)
        self._length = 0


def encode_envelope(
    reverse_path: bytes, forward_paths: Iterable[bytes], additions: Iterable[bytes] = ()
) -> bytes:
    """Return what a client gives to qmail-queue on descriptor 1."""
    return b"".join(encoded_envelope(reverse_path, forward_paths, additions))


def encoded_envelope(
    reverse_path: bytes,
    forward_paths: Iterable[bytes],
    additions: Iterable[bytes] = (),
    size: int = 32768,
) -> Iterator[bytes]:
    """Yield an envelope in pieces of about `size` bytes: it may have a million recipients."""
    piece = bytearray(encode_sender(reverse_path))
    for addition in additions:
        piece += encode_addition(addition)
    for path in forward_paths:
        piece += encode_recipient(path)
        if len(piece) >= size:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece) + b"\0"


def encode_origin(uid: int, pid: int) -> bytes:
    """Return the records that come first in the file: who gave the message."""
    return b"u%d\0p%d\0" % (uid, pid)


def encode_sender(reverse_path: bytes) -> bytes:
    """Return the record of the reverse path."""
    return b"F" + reverse_path + b"\0"


def encode_addition(text: bytes) -> bytes:
    """Return an additional record."""
    return ADDITION + text + b"\0"


def encode_recipient(forward_path: bytes, *, done: bool = False) -> bytes:
    """Return the record of one recipient."""
    return (b"D" if done else b"T") + forward_path + b"\0"


def records(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the records of a file without their NUL; `read` gives its next piece, b"" at the end.

    Raises DamagedEnvelope where a record is too long or has no end: whether
    the missing part named a recipient, nobody knows.
    """
    rest = b""
    while piece := read():
        *complete, rest = (rest + piece).split(b"\0")
        yield from complete
        if len(rest) > MAX_RECORD:
            raise DamagedEnvelope(b"record too long")
    if rest:
        raise DamagedEnvelope(b"record without end")


def parse_decimal(digits: bytes) -> int:
    """Return the number that ASCII digits spell; raise DamagedEnvelope for anything else."""
    if not digits.isdigit() or len(digits) > len(str(2**64)):
        raise DamagedEnvelope(b"not a number")
    return int(digits)
