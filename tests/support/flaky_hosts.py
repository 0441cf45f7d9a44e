"""Hosts on loopback that take mail, and misbehave at random; they remember whom they served."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

REFUSALS = (b"450 later\r\n", b"550 never\r\n", b"421 bye\r\n")


class FlakyHosts:
    """All of `addresses`, at one port. `trouble` is how often a command meets an accident."""

    def __init__(self, chance: random.Random, trouble: float, *, pipelining: bool = True) -> None:
        self._chance = chance
        self._trouble = trouble
        self._pipelining = pipelining
        self.copies: Counter[tuple[bytes, bytes]] = Counter()  # of (message, recipient)
        self.doubtful: Counter[tuple[bytes, bytes]] = Counter()  # taken, and never said so
        self.transactions: list[tuple[bytes, list[bytes]]] = []
        self.sessions = 0
        self.most_recipients = 1000  # in one transaction; the others hear 452
        self.slowness: float = 0  # seconds before the greeting
        self.patience: float | None = None  # seconds with a guest who says nothing
        self.most_guests: int | None = None  # at one address; the others hear 421
        self.turned_away = 0
        self._guests: Counter[str] = Counter()  # by address
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    async def listen(self, addresses: Sequence[str]) -> int:
        """Serve; return the port."""
        port = 0
        for address in addresses:
            server = await asyncio.start_server(self._accept, address, port, backlog=500)
            self._servers.append(server)
            port = server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Hang up."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        address = writer.get_extra_info("sockname")[0]
        self._guests[address] += 1
        try:
            with suppress(OSError, EOFError, TimeoutError, asyncio.CancelledError):
                await self._receive(address, reader, writer)
        finally:
            self._guests[address] -= 1
            self._tasks.discard(task)
            writer.close()

    async def _receive(
        self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self.most_guests is not None and self._guests[address] > self.most_guests:
            self.turned_away += 1
            writer.write(b"421 too many connections\r\n")
            await writer.drain()
        else:
            await self._session(reader, writer)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[bytes] = []
        await asyncio.sleep(self.slowness)
        await self._answer(writer, b"220 far\r\n")
        while line := await asyncio.wait_for(reader.readline(), self.patience):
            match line[:4].upper():
                case b"EHLO":
                    offer = b"250-far\r\n250 PIPELINING\r\n" if self._pipelining else b"250 far\r\n"
                    await self._answer(writer, offer)
                case b"MAIL" | b"RSET":
                    recipients = []
                    await self._answer(writer, b"250 ok\r\n")
                case b"RCPT":
                    full = len(recipients) >= self.most_recipients
                    reply = b"452 too many\r\n" if full else b"250 ok\r\n"
                    if (await self._answer(writer, reply))[:1] == b"2":
                        recipients.append(line[9:].split(b">")[0])
                case b"DATA":
                    if not recipients:
                        await self._answer(writer, b"503 for whom?\r\n")
                    elif (await self._answer(writer, b"354 go\r\n"))[:1] == b"3":
                        await self._take(reader, writer, recipients)
                case b"QUIT":
                    return
                case _:
                    await self._answer(writer, b"250 ok\r\n")

    async def _answer(self, writer: asyncio.StreamWriter, reply: bytes) -> bytes:
        if self._chance.random() < self._trouble:
            accident = self._chance.choice([*REFUSALS, None])
            if accident is None:
                raise EOFError
            writer.write(accident)
            if accident.startswith(b"421"):
                await writer.drain()
                raise EOFError
            return accident
        writer.write(reply)
        await writer.drain()
        return reply

    async def _take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recipients: list[bytes]
    ) -> None:
        message = b""
        while (line := await reader.readline()) != b".\r\n":
            if not line:
                return
            message += line
        pairs = [(message, recipient) for recipient in recipients]
        if self._chance.random() < self._trouble:
            self.copies.update(pairs)
            self.doubtful.update(pairs)
            raise EOFError
        if (await self._answer(writer, b"250 ok\r\n"))[:1] == b"2":
            self.copies.update(pairs)
            self.transactions.append((message, list(recipients)))
