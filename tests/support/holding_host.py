"""A host that greets, takes the envelope, and then holds its guests until it is told to go on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60  # seconds


class HoldingHost:
    """Runs in a thread, on all IPv4 addresses of loopback unless another is given."""

    def __init__(self) -> None:
        self.port = 0
        self.held = 0  # sessions that wait for the answer to DATA
        self.taken: list[bytes] = []  # messages
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.contextmanager
    def running(self, address: str = "0.0.0.0", port: int = 0) -> Iterator[HoldingHost]:
        """Serve while this lasts."""
        self._go = asyncio.Event()
        server = self._loop.run_until_complete(
            asyncio.start_server(self._session, address, port, backlog=1000)
        )
        self.port = server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            server.close()
            self._loop.run_until_complete(self._end())
            self._loop.close()

    async def _end(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wait_until_held(self, held: int) -> None:
        """Return when so many sessions are held."""
        end = time.monotonic() + PATIENCE
        while self.held < held:
            assert time.monotonic() < end, f"only {self.held} came"
            time.sleep(0.05)

    def go_on(self) -> None:
        """Take the mail, now and from now on."""
        self._loop.call_soon_threadsafe(self._go.set)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            writer.write(b"220 far\r\n")
            while line := await reader.readline():
                if line.startswith(b"EHLO"):
                    writer.write(b"250-far\r\n250 PIPELINING\r\n")
                elif line.startswith(b"DATA"):
                    await self._hold(reader, writer)
                else:
                    writer.write(b"250 ok\r\n")
        except OSError:
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.held += 1
        await self._go.wait()
        writer.write(b"354 go\r\n")
        message = b""
        while (line := await reader.readline()) != b".\r\n":
            if not line:
                return
            message += line
        self.held -= 1
        self.taken.append(message)
        writer.write(b"250 ok\r\n")
