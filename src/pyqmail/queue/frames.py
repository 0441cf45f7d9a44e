"""What goes over the queue socket, in both directions; qmail-queued(5).

A frame is a tag, a kind, a length and so many bytes. The tag is chosen by the
client for each of its messages, so that one connection carries many at once.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_HEADER: Final = struct.Struct(">IcI")

# From the client.
DESCRIPTORS: Final = b"D"  # descriptors 0 and 1 of a qmail-queue come with it
BODY: Final = b"B"  # bytes of the message
ENVELOPE: Final = b"E"  # bytes of the envelope; its last NUL asks to accept the message
ABORT: Final = b"A"  # forget the message

# From the server.
RESULT: Final = b"R"  # one byte exit code of qmail-queue, then its qp number in decimal


def socket_path(home: str) -> str:
    """Return where qmail-queued listens."""
    return home + "/run/queue.sock"


def encode_frame(tag: int, kind: bytes, payload: bytes) -> bytes:
    """Return one frame."""
    return _HEADER.pack(tag, kind, len(payload)) + payload


def encode_result(tag: int, code: int, number: int) -> bytes:
    """Return the answer to one message."""
    return encode_frame(tag, RESULT, b"%c%d" % (code, number))


class FrameReader:
    """Takes bytes as they come, gives frames piece by piece.

    A piece is what has arrived of a frame, so nothing grows with the length
    that a peer claims.
    """

    __slots__ = ("_data", "_kind", "_missing", "_position", "_tag")

    def __init__(self) -> None:
        self._data = b""
        self._position = 0
        self._tag = 0
        self._kind = b""
        self._missing = -1  # bytes of the open frame still to come; -1: none is open

    def feed(self, data: bytes) -> None:
        """Take bytes; ask `next_piece()` until it gives None before feeding more."""
        self._data = self._data[self._position :] + data
        self._position = 0

    def next_piece(self) -> tuple[int, bytes, bytes, bool] | None:
        """Return tag, kind, bytes, and whether they end their frame; None if more must come."""
        if self._missing < 0:
            if len(self._data) - self._position < _HEADER.size:
                return None
            self._tag, self._kind, self._missing = _HEADER.unpack_from(self._data, self._position)
            self._position += _HEADER.size
        piece = self._data[self._position : self._position + self._missing]
        if not piece and self._missing:
            return None
        self._position += len(piece)
        self._missing -= len(piece)
        is_last = self._missing == 0
        if is_last:
            self._missing = -1
        return self._tag, self._kind, piece, is_last


def parse_result(payload: bytes) -> tuple[int, int]:
    """Return exit code and qp number of an answer; raise ValueError if it is none."""
    code, number = payload[:1], payload[1:]
    if not code or not number.isdigit():
        raise ValueError("no answer of qmail-queued")
    return code[0], int(number)
