"""QMQP, the Quick Mail Queueing Protocol, without I/O: what a client sends, both ways.

A request is one netstring that holds netstrings: the message, the reverse
path and each forward path. The answer is one netstring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyqmail.protocol.netstring import NetstringReader
from pyqmail.protocol.qmtp import (
    Event,
    ForwardPath,
    MessageBegin,
    MessageData,
    PackageEnd,
    ReversePath,
    take_address,
)

if TYPE_CHECKING:
    from collections.abc import Generator

MAX_LENGTH_LINE: Final = 100  # bytes in which the length of a request must end


class RequestReader:
    """What a client of QMQP sends: one request.

    Call `receive_data()` with what arrived, then `next_event()` until it
    returns None; after PackageEnd nothing comes. It raises NetstringError
    where the client breaks the protocol; then the session is over.
    """

    def __init__(self) -> None:
        self._stream = NetstringReader()
        self._events = self._read_request()

    def receive_data(self, data: bytes) -> None:
        """Take what arrived; call `next_event()` until None before the next piece."""
        self._stream.feed(data)

    def next_event(self) -> Event | None:
        """Return what comes next, or None if more bytes are needed."""
        return next(self._events, None)

    def _read_request(self) -> Generator[Event | None, None, None]:
        stream = self._stream
        stream.enter(MAX_LENGTH_LINE)
        stream.enter((yield from stream.length()))
        length = yield from stream.length()
        yield MessageBegin()
        for data in stream.pieces(length):
            yield None if data is None else MessageData(data)
        yield from stream.comma()
        length = yield from stream.length()
        yield ReversePath((yield from take_address(stream, length)))
        while stream.room:
            length = yield from stream.length()
            yield ForwardPath((yield from take_address(stream, length)))
        stream.leave()
        yield from stream.comma()
        yield PackageEnd()
