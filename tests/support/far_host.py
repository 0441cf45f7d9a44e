"""A host on loopback that takes mail, and misbehaves at one phase as it is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

CLOSE: Final = b"(close)"
RESET: Final = b"(reset)"
SILENCE: Final = b"(silence)"
ENDLESS_LINE: Final = b"(endless line)"
ENDLESS_LINES: Final = b"(endless lines)"

WELL: Final[Mapping[str, bytes]] = {
    "greeting": b"220 far\r\n",
    "helo": b"250 far\r\n",
    "starttls": b"220 go\r\n",
    "auth": b"235 ok\r\n",
    "mail": b"250 ok\r\n",
    "rcpt": b"250 ok\r\n",
    "data": b"354 go\r\n",
    "end": b"250 ok\r\n",
    "rset": b"250 ok\r\n",
    "quit": b"221 bye\r\n",
}


class FarHost:
    """Says what `script` says at each phase; of several replies, one after the other."""

    def __init__(
        self,
        script: Mapping[str, bytes | Sequence[bytes]] | None = None,
        extensions: Sequence[bytes] = (),
        context: ssl.SSLContext | None = None,
        *,
        tls_first: bool = False,
    ) -> None:
        self.commands: list[bytes] = []
        self.messages: list[bytes] = []
        self.sessions = 0
        self.secured = 0  # handshakes that were made
        self.indicated: list[str | None] = []  # server names that clients asked for
        self._script = script or {}
        self._given: dict[str, int] = {}
        self._extensions = extensions
        self._context = context
        self._tls_first = tls_first
        self._tasks: set[asyncio.Task[None]] = set()
        if context is not None:
            context.sni_callback = lambda _, name, __: self.indicated.append(name)

    async def listen(self, address: str, port: int = 0) -> int:
        """Serve; return the port."""
        self._server = await asyncio.start_server(self._accept, address, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Hang up."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        try:
            with suppress(OSError, EOFError, asyncio.LimitOverrunError, ConnectionError):
                await self._session(reader, writer)
        except asyncio.CancelledError:
            return
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if self._is_broken(writer) else writer.close()

    def _is_broken(self, writer: asyncio.StreamWriter) -> bool:
        return bool(writer.transport.get_write_buffer_size())

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tls_first:
            await self._secure(writer)
        secured = self._tls_first
        await self._say(writer, "greeting")
        while line := await reader.readline():
            verb = line.split()[0].upper().decode()
            self.commands.append(line)
            match verb:
                case "EHLO":
                    await self._say(writer, "ehlo", self._hello(secured=secured))
                case "STARTTLS":
                    if (await self._say(writer, "starttls")).startswith(b"220"):
                        await self._secure(writer)
                        secured = True
                case "AUTH":
                    await self._authenticate(reader, writer, line)
                case "DATA":
                    if (await self._say(writer, "data"))[:1] in (b"2", b"3"):
                        await self._take(reader, writer)
                case "QUIT":
                    await self._say(writer, "quit")
                    return
                case _:
                    await self._say(writer, verb.lower())

    def _hello(self, *, secured: bool) -> bytes:
        offered = [each for each in self._extensions if not (secured and each == b"STARTTLS")]
        lines = [b"far", *offered]
        return b"".join(
            b"250%b%b\r\n" % (b" " if each is lines[-1] else b"-", each) for each in lines
        )

    async def _authenticate(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes
    ) -> None:
        if line.startswith((b"AUTH LOGIN", b"AUTH CRAM")) and "auth" not in self._script:
            await self._challenge(reader, writer, b"<1@far>")
            if b"LOGIN" in line:
                await self._challenge(reader, writer, b"and now?")
        said = await self._say(writer, "auth")
        if said.startswith(b"3"):
            self.commands.append(await reader.readline())
            writer.write(b"501 well\r\n")

    async def _challenge(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes
    ) -> None:
        writer.write(b"334 " + b64encode(text) + b"\r\n")
        self.commands.append(await reader.readline())

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = b""
        while not message.endswith(b"\r\n.\r\n") and message != b".\r\n":
            piece = await reader.readline()
            if not piece:
                return
            message += piece
        self.messages.append(message)
        await self._say(writer, "end")

    async def _secure(self, writer: asyncio.StreamWriter) -> None:
        accident = self._script.get("tls")
        if isinstance(accident, bytes):
            await self._do(writer, accident)
        assert self._context is not None
        await writer.start_tls(self._context)
        self.secured += 1

    async def _say(
        self, writer: asyncio.StreamWriter, phase: str, otherwise: bytes | None = None
    ) -> bytes:
        known = WELL.get(phase, b"502 what\r\n") if otherwise is None else otherwise
        replies = self._script.get(phase, known)
        if not isinstance(replies, bytes):
            number = self._given.get(phase, 0)
            self._given[phase] = number + 1
            replies = replies[min(number, len(replies) - 1)]
        await self._do(writer, replies or known)
        return replies or known

    async def _do(self, writer: asyncio.StreamWriter, reply: bytes) -> None:
        if reply == SILENCE:
            await asyncio.get_running_loop().create_future()
        if reply == CLOSE:
            raise EOFError
        if reply == RESET:
            connection = writer.get_extra_info("socket")
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            raise EOFError
        endless = {ENDLESS_LINE: b"250 " + b"x" * 60_000, ENDLESS_LINES: b"250-x\r\n" * 10_000}
        while reply in endless:
            writer.write(endless[reply])
            await writer.drain()
        writer.write(reply)
        await writer.drain()
