"""The server side of QMTP, the Quick Mail Transfer Protocol, without I/O.

A package is a message, a reverse path and a list of forward paths, each a
netstring. Packages follow one another without waiting for answers; for each
there is one answer per forward path, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.protocol.netstring import NetstringError, NetstringReader

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyqmail.protocol.netstring import Waiting

MAX_ADDRESS: Final = 999  # bytes; the original takes no more


@dataclass(frozen=True, slots=True)
class MessageBegin:
    """A message is announced, not more."""


@dataclass(frozen=True, slots=True)
class MessageSize:
    """How many bytes the message has; None where CR LF must be turned into LF first."""

    size: int | None


@dataclass(frozen=True, slots=True)
class MessageData:
    """The next bytes of the message; lines end with LF."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ReversePath:
    """The message is complete, and this its reverse path; None if that is too long."""

    address: bytes | None


@dataclass(frozen=True, slots=True)
class ForwardPath:
    """One recipient; None if its address is too long."""

    address: bytes | None


@dataclass(frozen=True, slots=True)
class PackageEnd:
    """Message and envelope are complete: time to answer."""


Event = MessageBegin | MessageSize | MessageData | ReversePath | ForwardPath | PackageEnd


def take_address(stream: NetstringReader, length: int) -> Waiting[bytes | None]:
    """Take the bytes of an address and the comma after them; None for one that is too long."""
    address = None
    if length > MAX_ADDRESS:
        yield from stream.skip(length)
    else:
        address = yield from stream.string(length)
    yield from stream.comma()
    return address


class PackageReader:
    """What a client of QMTP sends.

    Call `receive_data()` with what arrived, then `next_event()` until it
    returns None. It raises NetstringError where the client breaks the
    protocol; then the session is over.
    """

    def __init__(self) -> None:
        self._stream = NetstringReader()
        self._events = self._read_packages()

    def receive_data(self, data: bytes) -> None:
        """Take what arrived; call `next_event()` until None before the next piece."""
        self._stream.feed(data)

    def next_event(self) -> Event | None:
        """Return what comes next, or None if more bytes are needed."""
        return next(self._events)

    def _read_packages(self) -> Generator[Event | None, None, None]:
        stream = self._stream
        while True:
            length = yield from stream.length()
            if not length:
                raise NetstringError
            yield MessageBegin()
            line_end = yield from stream.string(1)
            if line_end == b"\n":
                yield from self._read_message(length - 1)
            elif line_end == b"\r":
                yield from self._read_crlf_message(length - 1)
            else:
                raise NetstringError
            yield from stream.comma()
            length = yield from stream.length()
            yield ReversePath((yield from take_address(stream, length)))
            yield from self._read_list()
            yield PackageEnd()

    def _read_message(self, length: int) -> Generator[Event | None, None, None]:
        yield MessageSize(length)
        for data in self._stream.pieces(length):
            yield None if data is None else MessageData(data)

    def _read_crlf_message(self, length: int) -> Generator[Event | None, None, None]:
        """Turn CR LF into LF; a CR that is alone stays."""
        yield MessageSize(None)
        held = b""  # a CR, until it is known what follows
        for piece in self._stream.pieces(length):
            if piece is None:
                yield None
                continue
            data = (held + piece).replace(b"\r\n", b"\n")
            held = data[-1:] if data.endswith(b"\r") else b""
            yield MessageData(data[: len(data) - len(held)])
        if held:
            yield MessageData(held)

    def _read_list(self) -> Generator[Event | None, None, None]:
        stream = self._stream
        stream.enter((yield from stream.length()))
        while stream.room:
            length = yield from stream.length()
            if length >= stream.room:
                raise NetstringError
            yield ForwardPath((yield from take_address(stream, length)))
        stream.leave()
        yield from stream.comma()
