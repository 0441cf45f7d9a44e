"""Byte streams for programs that hold one session and may wait for it."""

from __future__ import annotations

# The C module: `socket` costs several milliseconds for its enums.
import _socket
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol

    class PatientStream(Protocol):
        """Whose methods wait. They raise TimeoutError or another OSError."""

        def read(self, size: int) -> bytes:
            """Return what has arrived, waiting for something; b"" at the end."""

        def write(self, data: bytes) -> None:
            """Send all of `data`."""


_PIECE: Final = select.PIPE_BUF  # bytes that a pipe which is ready takes without waiting; pipe(7)


class WaitingStream:
    """Reads and writes; waits at most `timeout` seconds for each.

    The descriptors stay as they are: making them non-blocking would do the
    same to other processes that share them. Raises TimeoutError or another OSError.
    """

    def __init__(self, timeout: int, reading: int = 0, writing: int = 1) -> None:
        self._timeout_ms = timeout * 1000
        self._reading = reading
        self._writing = writing

    def read(self, size: int) -> bytes:
        """Return what has arrived, waiting for something; b"" at the end."""
        self._wait(self._reading, select.POLLIN)
        return os.read(self._reading, size)

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        rest = memoryview(data)
        while rest:
            self._wait(self._writing, select.POLLOUT)
            rest = rest[os.write(self._writing, rest[:_PIECE]) :]

    def _wait(self, descriptor: int, event: int) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(self._timeout_ms):
            raise TimeoutError


class WaitingSocket:
    """The same over a socket that nobody shares."""

    def __init__(self, timeout: int, descriptor: int) -> None:
        self._socket = _socket.socket(fileno=descriptor)
        self._socket.settimeout(timeout)

    def read(self, size: int) -> bytes:
        """Return what has arrived, waiting for something; b"" at the end."""
        return self._socket.recv(size)

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        rest = memoryview(data)
        while rest:  # sendall() would give all of it together the time of one piece
            rest = rest[self._socket.send(rest) :]
