"""qmail-rspawn in this process, with hosts and a qmail-send that the test plays."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.dns_table import TableResolver
from tests.support.queues import make_home

from pyqmail.delivery.remote import RemoteDeliverer
from pyqmail.programs.qmail_rspawn import delivering
from pyqmail.protocol.spawn import Job, ReportReader, encode_job
from pyqmail.queue.suspension import Suspension
from pyqmail.send.gathering import Gathering
from pyqmail.send.remote_spawner import RemoteSpawner
from pyqmail.system.streams import DescriptorStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyqmail.protocol.spawn import Report

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
WIDTH = 2


class Pool:
    """A home with messages, whose contents are `m0` and so on, and the spawner on it."""

    def __init__(self, top: str, domains: int = 3) -> None:
        self.home = make_home(top)
        os.makedirs(f"{self.home}/control", exist_ok=True)
        self.set("me", "me.example")
        self.set("tlspolicy", ":none")
        self.limit = 3  # connections to one place
        self.domains = [b"d%d.example" % number for number in range(domains)]
        self.reports: list[Report] = []

    def set(self, name: str, text: str) -> None:
        """Write a control file."""
        with open(f"{self.home}/control/{name}", "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def add_message(self, number: int) -> bytes:
        """Put a message into the queue; return its path for a job."""
        path = f"{self.home}/queue/mess/0/{number}"
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.write(b"m%d\n" % number)
        return b"0/%d" % number

    def job(self, slot: int, message: int, recipient: bytes, sender: bytes = b"s@x") -> Job:
        """Return a job for a message, which is made."""
        return Job(slot, self.add_message(message), sender, recipient)

    async def serve(self, port: int, pieces: Sequence[tuple[Sequence[Job], float]]) -> None:
        """Give the spawner pieces of jobs, with a pause after each; return when it has ended."""
        hosts = {b"a.example": [FIRST], b"b.example": [SECOND]}
        exchangers = [(10, b"a.example"), (20, b"b.example")]
        resolver = TableResolver(hosts, dict.fromkeys(self.domains, exchangers))
        deliverer = RemoteDeliverer(self.home, resolver, Suspension(self.home, 0), port, self.limit)
        deliverer.keep_connections()
        spawner = RemoteSpawner(delivering(deliverer), Gathering(), os.getuid(), 1000, WIDTH)
        (jobs, give), (hear, reports) = os.pipe(), os.pipe()
        with self._in_queue():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(hear))
                tasks.create_task(self._give(give, pieces))
                await spawner.serve(jobs, reports)
                deliverer.close()
                os.close(reports)
        os.close(jobs)
        os.close(hear)

    @contextmanager
    def _in_queue(self) -> Iterator[None]:
        before = os.open(".", os.O_RDONLY)
        os.chdir(f"{self.home}/queue/mess")
        try:
            yield
        finally:
            os.fchdir(before)
            os.close(before)

    async def _give(self, end: int, pieces: Sequence[tuple[Sequence[Job], float]]) -> None:
        for jobs, pause in pieces:
            os.write(end, b"".join(encode_job(job, WIDTH) for job in jobs))
            await asyncio.sleep(pause)
        os.close(end)

    async def _hear(self, end: int) -> None:
        reader = ReportReader(WIDTH)
        stream, greeted = DescriptorStream(end), False
        while data := await stream.read():
            if not greeted:
                data, greeted = data[WIDTH:], True
            self.reports += reader.feed(data)
