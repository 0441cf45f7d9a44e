"""qmail-rspawn: takes jobs from qmail-send and has each delivered, all at once; qmail-rspawn(8).

How a delivery is made is the business of whoever makes the spawner: a
coroutine of this process, or a program for each.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.protocol.spawn import JobReader, encode_greeting, encode_report
from pyqmail.queue.job_check import JobRefused, check_job, open_message
from pyqmail.send import log
from pyqmail.system.streams import DescriptorStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pyqmail.protocol.spawn import Job
    from pyqmail.send.gathering import Batch, Gathering

    # Delivers the open file to the recipients of the batch, which it seals before it asks the
    # other host. Returns the report on each, letter and text; None: ask again, without those who
    # have been served.
    Deliver = Callable[[Batch, int], Awaitable[Sequence[bytes | None]]]

UNFORESEEN: Final = b"Zqmail-remote failed unexpectedly; the log says how. (#4.3.0)\n"


class RemoteSpawner:
    """Serves the jobs that come in on descriptor 0, and reports on descriptor 1.

    The current directory must be queue/mess, whose messages `message_owner` owns.
    """

    def __init__(
        self, deliver: Deliver, gathering: Gathering, message_owner: int, slots: int, width: int
    ) -> None:
        self._deliver = deliver
        self._gathering = gathering
        self._message_owner = message_owner
        self._slots = slots
        self._width = width
        self._busy: set[int] = set()  # slots whose deliveries run
        self._listening = True  # does qmail-send still want to know?
        self._reports: list[bytes] = []

    async def serve(self, jobs_from: int = 0, reports_to: int = 1) -> None:
        """Deliver until qmail-send is gone and every delivery has ended."""
        self._reports_to = reports_to
        self._write(encode_greeting(self._slots, self._width))
        jobs = JobReader(self._width)
        async with asyncio.TaskGroup() as self._deliveries:
            while data := await _read_jobs(jobs_from):
                for job in jobs.feed(data):
                    self._take(job)

    def _take(self, job: Job) -> None:
        try:
            check_job(job, self._slots, self._busy)
            if not self._gathering.join(job):
                self._begin(job)
        except JobRefused as refusal:
            self._say(job.slot, refusal.report)
            return
        self._busy.add(job.slot)

    def _begin(self, job: Job) -> None:
        """Open the message and begin a batch. Raises JobRefused."""
        message = open_message(job, ".", self._message_owner)
        self._deliveries.create_task(self._run(self._gathering.begin(job), message))

    async def _run(self, batch: Batch, message: int) -> None:
        reports: Sequence[bytes | None]
        try:
            reports = await self._deliver(batch, message)
        except Exception as error:  # noqa: BLE001  the top of a daemon's task: the others go on
            _complain(batch.jobs[0], error)
            reports = [UNFORESEEN] * len(batch.jobs)
        finally:
            batch.seal()
            os.close(message)
        for job, report in zip(batch.jobs, reports, strict=True):
            if report is None:
                self._take_again(job)
            else:
                self._end(job, report)

    def _take_again(self, job: Job) -> None:
        try:
            if not self._gathering.join(job):
                self._begin(job)
        except JobRefused as refusal:
            self._end(job, refusal.report)

    def _end(self, job: Job, report: bytes) -> None:
        self._busy.discard(job.slot)
        self._say(job.slot, report)

    def _say(self, slot: int, report: bytes) -> None:
        """Have the report written with all others of this turn of the loop."""
        if not self._reports:
            asyncio.get_running_loop().call_soon(self._write_reports)
        self._reports.append(encode_report(slot, report, self._width))

    def _write_reports(self) -> None:
        reports, self._reports = self._reports, []
        self._write(b"".join(reports))

    def _write(self, data: bytes) -> None:
        while data and self._listening:
            try:
                data = data[os.write(self._reports_to, data) :]
            except OSError:
                self._listening = False  # the deliveries are finished all the same


async def _read_jobs(descriptor: int) -> bytes:
    try:
        return await DescriptorStream(descriptor).read()
    except OSError:
        return b""


def _complain(job: Job, error: Exception) -> None:
    """Say what was unforeseen on descriptor 2, which is the log: a bounce is no place for it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in frames)
    line = log.unforeseen(job.message_path, repr(error).encode(), where.encode())
    with suppress(OSError):
        os.write(2, line + b"\n")
