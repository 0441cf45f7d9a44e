"""A TCP connection as a byte stream of asyncio, with TLS when somebody asks for it.

Nothing is taken from the system before somebody waits for it. So a peer that
sends without being read fills its own buffers and not ours; what it sends right after
a command that starts TLS is still there for the handshake; and a
connection that nobody read can be handed to another process.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    import socket
    import ssl

_DISCARD_SIZE: Final = 65536  # bytes
_MOST_DISCARDED: Final = 16  # pieces of that size, more than a peer's window
_SHUTDOWN_TIMEOUT: Final = 5  # seconds for the other side's last word in TLS
_TLS_TIMEOUTS: Final[dict[str, Any]] = {
    "ssl_handshake_timeout": 60,  # seconds
    "ssl_shutdown_timeout": _SHUTDOWN_TIMEOUT,
}


class SocketStream(asyncio.Protocol):
    """The stream of `connection`, which it owns: `close()` it."""

    __slots__ = (
        "_closing",
        "_connection",
        "_deadline",
        "_ended",
        "_error",
        "_full",
        "_lost",
        "_reader",
        "_received",
        "_secure",
        "_transport",
        "_writer",
    )

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._ended = False  # the peer says no more
        self._secure = False  # TLS has begun
        self._closing = False
        self._lost = False  # the connection is no more
        self._deadline: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._full = False  # more is written than the system takes
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    # What an application does.

    async def open(self) -> None:
        """Take the connection up, which else the first `read()` or `write()` does.

        Who reads and writes in two tasks calls this first: taken up twice, the event loop
        would abort the process.
        """
        if self._transport is None:
            await self._open()

    async def read(self) -> bytes:
        """Return what has arrived, waiting for something; b"" at the end."""
        if self._transport is None:
            await self._open()
        if not self._received and not self._ended:
            assert self._transport is not None  # _open() has made it
            self._reader = asyncio.get_running_loop().create_future()
            self._transport.resume_reading()
            try:
                await self._reader
            finally:
                self._reader = None
                self._pause()
        if self._error is not None and not self._received:
            raise ConnectionResetError from self._error
        data, self._received = self._received, b""
        return data

    async def write(self, data: bytes) -> None:
        """Send all of `data`; on return the system has it."""
        if self._transport is None:
            await self._open()
        assert self._transport is not None  # _open() has made it
        if self._transport.is_closing():
            raise ConnectionResetError from self._error
        self._transport.write(data)
        if self._full:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        if self._error is not None:
            raise ConnectionResetError from self._error

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on, as a server; raise OSError if the handshake fails.

        What was read in the clear and not yet taken is dropped: it cannot be
        trusted (RFC 3207 §6).
        """
        self._secure = True
        self._received = b""
        plain, self._transport = self._transport, None  # data_received() must not pause it now
        if plain is None:
            await self._open(ssl=context, **_TLS_TIMEOUTS)
            return
        secure = None
        try:
            secure = await asyncio.get_running_loop().start_tls(
                plain, self, context, server_side=True, **_TLS_TIMEOUTS
            )
        finally:
            self._transport = secure or plain
            if secure is None:
                plain.abort()
        if secure is None:
            raise ConnectionResetError  # the peer is gone
        self._begin(secure)

    def hand_over(self) -> int | None:
        """Return the descriptor of the connection if nobody has read or written here."""
        if self._transport is not None:
            return None
        self._connection.settimeout(None)
        return self._connection.fileno()

    def close(self) -> None:
        """Let the connection go. What `write()` did not wait for is lost."""
        if self._transport is None:
            self._connection.close()
        elif self._full:
            self._transport.abort()
        elif self._secure:
            self._close_securely(self._transport)
        else:
            self._discard()
            self._transport.close()

    def _close_securely(self, transport: asyncio.Transport) -> None:
        """Say the last word of TLS, and wait a moment for the peer's."""
        if not self._lost:
            # A paused transport would never see the peer's, and stay for ever.
            self._closing = True
            transport.resume_reading()
            transport.close()
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(_SHUTDOWN_TIMEOUT, transport.abort)

    def _discard(self) -> None:
        """Take what has come and nobody read.

        Else the system would break the connection instead of ending it, and the
        peer might never see our last words.
        """
        if self._transport is None or self._transport.is_closing():
            return
        with suppress(OSError):
            for _ in range(_MOST_DISCARDED):
                if not self._connection.recv(_DISCARD_SIZE):
                    return

    # What the event loop says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for somebody to read."""
        self._begin(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        """Keep it, and take no more until it is read."""
        if self._closing:
            return
        self._received = self._received + data if self._received else data
        self._pause()
        _wake(self._reader)

    def eof_received(self) -> bool:
        """Keep the way to the peer open: it may only have said all it wanted. TLS cannot."""
        self._ended = True
        _wake(self._reader)
        return not self._secure

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        self._ended = self._lost = True
        self._error = error
        if self._deadline is not None:
            self._deadline.cancel()
        self._full = False
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        """Note that the system takes no more."""
        self._full = True

    def resume_writing(self) -> None:
        """Note that the system has all."""
        self._full = False
        _wake(self._writer)

    async def _open(self, **options: Any) -> None:
        self._connection.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: self, self._connection, **options)
        # Not in connection_made(): uvloop begins to read after that, whatever it does.
        # So something may have come already; it waits for the first read().
        self._pause()

    def _begin(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=1, low=0)
        if self._secure:
            self._pause()

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
