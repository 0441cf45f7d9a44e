"""Netstrings: `5:hello,`, also nested, taken apart out of bytes that arrive in any pieces.

The bytes of a string are handed on as they arrive; none of them is kept here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Final, TypeVar

    Result = TypeVar("Result")
    # Yields None whenever more bytes are needed.
    Waiting = Generator[None, None, Result]

# What a length may be before its last digit; so no string is longer than 2000000009 bytes.
MAX_LENGTH: Final = 200000000

_COLON: Final = ord(":")
_ZERO: Final = ord("0")
_NINE: Final = ord("9")


class NetstringError(Exception):
    """What arrived is no netstring; where the next one begins, nobody knows."""


class NetstringTooLong(NetstringError):  # noqa: N818  it says what the peer announced
    """A length is larger than anything we take."""


def encode_netstring(data: bytes) -> bytes:
    """Return `data` as a netstring."""
    return b"%d:%b," % (len(data), data)


class NetstringReader:
    """Takes netstrings apart.

    `feed()` what arrives, after all that came before has been taken. The
    methods with `yield from` wait for bytes by yielding None, and raise
    NetstringError. Between `enter()` and `leave()` they look at no byte
    beyond the string that was entered.
    """

    __slots__ = ("_position", "_received", "_room")

    def __init__(self) -> None:
        self._received = b""
        self._position = 0
        self._room: int | None = None

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        self._received = self._received[self._position :] + data
        self._position = 0

    def enter(self, length: int) -> None:
        """Let no more than the next `length` bytes be taken."""
        self._room = length

    def leave(self) -> None:
        """Let any number of bytes be taken."""
        self._room = None

    @property
    def room(self) -> int:
        """How many bytes of the string that was entered are left."""
        assert self._room is not None  # only whoever entered one asks
        return self._room

    def length(self) -> Waiting[int]:
        """Take a length and its colon.

        Zeros in front do no harm. The largest that is returned is `MAX_LENGTH`
        with one more digit.
        """
        length = 0
        while (byte := (yield from self._some(1))[0]) != _COLON:
            if length > MAX_LENGTH:
                raise NetstringTooLong
            if not _ZERO <= byte <= _NINE:
                raise NetstringError
            length = 10 * length + byte - _ZERO
        return length

    def comma(self) -> Waiting[None]:
        """Take the comma that ends a string."""
        if (yield from self._some(1)) != b",":
            raise NetstringError

    def string(self, length: int) -> Waiting[bytes]:
        """Take `length` bytes at once; the caller has made sure that they are few."""
        data = b""
        while len(data) < length:
            data += yield from self._some(length - len(data))
        return data

    def skip(self, length: int) -> Waiting[None]:
        """Take `length` bytes and forget them."""
        while length:
            length -= len((yield from self._some(length)))

    def pieces(self, length: int) -> Generator[bytes | None, None, None]:
        """Yield the next `length` bytes piece by piece; None whenever more are needed."""
        while length:
            data = yield from self._some(length)
            length -= len(data)
            yield data

    def _some(self, count: int) -> Waiting[bytes]:
        """Take at least one byte and at most `count`, as many as are there."""
        if self._room is not None:
            if not self._room:
                raise NetstringError
            count = min(count, self._room)
        while self._position == len(self._received):
            yield None
        data = self._received[self._position : self._position + count]
        self._position += len(data)
        if self._room is not None:
            self._room -= len(data)
        return data
