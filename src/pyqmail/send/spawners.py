"""The pipes between qmail-send and its spawners; qmail-spawn(5) has what is said on them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pyqmail.protocol import spawn
from pyqmail.queue.store import CHANNELS, Channel
from pyqmail.send import events
from pyqmail.system.files import READ_SIZE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping


class SpawnerPipes:
    """The two pipes to and from the spawner of one channel.

    What the sender wishes is for those who know that a job can say it (`knows_wishes`).
    """

    def __init__(
        self, channel: Channel, jobs: int, reports: int, width: int, *, knows_wishes: bool = False
    ) -> None:
        self.channel = channel
        self.lost = False
        self._jobs = jobs
        self._reports = reports
        self._width = width
        self._knows_wishes = knows_wishes
        self._reader = spawn.ReportReader(width)
        self._unsent = b""

    def read_greeting(self) -> int | None:
        """Wait for the spawner's first words: its number of slots, or None if it is gone."""
        greeting = b""
        while len(greeting) < self._width:
            try:
                piece = os.read(self._reports, self._width - len(greeting))
            except OSError:
                return None
            if not piece:
                return None
            greeting += piece
        return spawn.decode_greeting(greeting)

    def attach(self, loop: asyncio.AbstractEventLoop, tell: Callable[[events.Event], None]) -> None:
        """Have `tell` called with what the spawner reports."""
        self._loop = loop
        self._tell = tell
        os.set_blocking(self._jobs, False)
        os.set_blocking(self._reports, False)
        loop.add_reader(self._reports, self._read)

    def send(self, job: spawn.Job) -> None:
        """Give a job to the spawner, as soon as it takes it."""
        if self.lost:
            return
        if job.wishes and not self._knows_wishes:
            job = replace(job, wishes=b"")
        waiting = bool(self._unsent)
        self._unsent += spawn.encode_job(job, self._width)
        if not waiting:
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        if self.lost:
            return
        try:
            self._unsent = self._unsent[os.write(self._jobs, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._lose()
            return
        if self._unsent:
            self._loop.add_writer(self._jobs, self._write)
        else:
            self._loop.remove_writer(self._jobs)

    def _read(self) -> None:
        try:
            data = os.read(self._reports, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        for report in self._reader.feed(data):
            self._tell(events.Reported(self.channel, report))

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            self._loop.remove_reader(self._reports)
            self._loop.remove_writer(self._jobs)
            self._tell(events.SpawnerLost(self.channel))


def read_greetings(spawners: Mapping[Channel, SpawnerPipes]) -> dict[Channel, int] | None:
    """Return how many slots each spawner has; None if one of them is gone."""
    slots: dict[Channel, int] = {}
    for channel in CHANNELS:
        count = spawners[channel].read_greeting()
        if count is None:
            return None
        slots[channel] = count
    return slots
