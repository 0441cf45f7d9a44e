"""Short conversations with a server: date@ who@ finger@ http@ tcpcat mconnect.

All connect as `tcpclient -RHl0` does, and say what it says when they cannot.
"""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.errors import SUCCESS
from pyqmail.ucspi.client import NobodyThereError, Options, connect
from pyqmail.ucspi.copying import write_all
from pyqmail.ucspi.filters import AddCr, DelCr

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

_READ_SIZE: Final = 65536  # bytes
_HIGH: Final = 0x80
_DELETE: Final = 0x7F
_FIRST_PRINTABLE: Final = 0x20
_LINE_FEED: Final = 0x0A
_TAB: Final = 0x09


def open_connection(host: bytes, port: bytes) -> socket.socket:
    """Return a connection; raise NobodyThereError or TransientFailure."""
    return asyncio.run(connect(host, port, Options()))


def answers(host: bytes, port: bytes, question: bytes = b"") -> Iterator[bytes]:
    """Yield what a server says, CRs before LFs taken away; `question` gets them added."""
    filter_ = DelCr()
    with open_connection(host, port) as connection:
        connection.sendall(AddCr().feed(question))
        while data := read(connection.fileno()):
            yield filter_.feed(data)
    yield filter_.end()


def read(descriptor: int) -> bytes:
    """Return what has come; b"" at the end."""
    try:
        return os.read(descriptor, _READ_SIZE)
    except OSError:
        return b""  # a connection that was reset has ended too


def print_visibly(host: bytes, port: bytes, question: bytes = b"") -> int:
    """Print what a server says as `cat -v` does: nothing of it reaches a terminal as control.

    Return an exit code. It is 0 if nobody is there, as ever: it was that of a pipe's last program.
    """
    with suppress(NobodyThereError):
        for data in answers(host, port, question):
            write_all(1, visible(data))
    return SUCCESS


def visible(data: bytes) -> bytes:
    """Return `data` with every byte that is no text written as ^X and M-X; LF and tab stay."""
    return b"".join(map(_VISIBLE.__getitem__, data))


def _visible_byte(byte: int) -> bytes:
    if byte >= _HIGH:
        low = byte - _HIGH
        return b"M-" + (
            b"^" + bytes([low + 64]) if low in (_LINE_FEED, _TAB) else _visible_byte(low)
        )
    if byte == _DELETE:
        return b"^?"
    if byte >= _FIRST_PRINTABLE or byte in (_LINE_FEED, _TAB):
        return bytes([byte])
    return b"^" + bytes([byte + 64])


_VISIBLE: Final = [_visible_byte(byte) for byte in range(256)]


class HttpBody:
    """Lets the body of an HTTP response through. Its empty lines are left out, as ever."""

    def __init__(self) -> None:
        self._in_body = False
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines of the body that have ended."""
        body = []
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not line:
                self._in_body = True
            elif self._in_body:
                body.append(line + b"\n")
        return b"".join(body)

    def end(self) -> bytes:
        """Return the last line if nothing ended it."""
        return self._rest + b"\n" if self._in_body and self._rest else b""


def talk(connection: socket.socket) -> None:
    """Carry lines from descriptor 0 to a server, and what it says to descriptor 1, until it ends.

    The end of descriptor 0 ends nothing: the server may still have to say something.
    """
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(connection, select.POLLIN)
    network = connection.fileno()
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if 0 in ready:
            typed = read(0)
            if typed:
                _send(connection, AddCr().feed(typed))
            else:
                poll.unregister(0)
        if network in ready:
            heard = read(network)
            if not heard:
                return
            write_all(1, heard)


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        return  # the next read says that it is gone
