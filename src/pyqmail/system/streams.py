"""Byte streams for the coroutines that hold a session with a peer.

A coroutine is handed a `Stream` and does not know whether a socket of our own
server, an inherited pair of descriptors or a test is behind it.
"""

from __future__ import annotations

import asyncio
import os
import select
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Any

READ_SIZE = 65536  # bytes; what one read asks for


class Stream(Protocol):
    """Where bytes come from and go to. Both methods raise OSError when the peer is gone."""

    async def read(self) -> bytes:
        """Return what has arrived, waiting for something; b"" at the end."""

    async def write(self, data: bytes) -> None:
        """Send all of `data`, waiting while the peer is slower than we are."""


class ServerStream(Stream, Protocol):
    """A stream that can begin to speak TLS."""

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on, as a server; raise OSError if the handshake fails."""


class ConnectionStream:
    """A connection that asyncio has opened or accepted."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """Return what has arrived, waiting for something; b"" at the end."""
        return await self._reader.read(READ_SIZE)

    async def write(self, data: bytes) -> None:
        """Send all of `data`, waiting while the peer is slower than we are."""
        self._writer.write(data)
        await self._writer.drain()


class DescriptorStream:
    """Two open descriptors, as a server gives them to a program: 0 and 1.

    They stay as they are: making them non-blocking would do the same to the
    other processes that share them. So nothing is read or written before the
    system says that it will not block.
    """

    def __init__(self, reading: int = 0, writing: int = 1) -> None:
        self._reading = reading
        self._writing = writing

    async def read(self) -> bytes:
        """Return what has arrived, waiting for something; b"" at the end."""
        await wait_until_readable(self._reading)
        return os.read(self._reading, READ_SIZE)

    async def write(self, data: bytes) -> None:
        """Send all of `data`, waiting while the peer is slower than we are."""
        rest = memoryview(data)
        while rest:
            await wait_until_writable(self._writing)
            # A pipe that is ready has room for so much, whatever its reader does; pipe(7).
            rest = rest[os.write(self._writing, rest[: select.PIPE_BUF]) :]


async def wait_until_readable(descriptor: int) -> None:
    """Return when reading will not block: there is something, or an end; of a process, its end."""
    loop = asyncio.get_running_loop()
    await _wait_until_ready(loop.add_reader, loop.remove_reader, descriptor)


async def wait_until_writable(descriptor: int) -> None:
    """Return when writing will not block, or will fail."""
    loop = asyncio.get_running_loop()
    await _wait_until_ready(loop.add_writer, loop.remove_writer, descriptor)


async def _wait_until_ready(
    add: Callable[..., Any], remove: Callable[[int], bool], descriptor: int
) -> None:
    ready = asyncio.get_running_loop().create_future()
    try:
        add(descriptor, _set, ready)
    except PermissionError:
        return  # a regular file: it is always ready, and epoll refuses it for that
    try:
        await ready
    finally:
        remove(descriptor)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
