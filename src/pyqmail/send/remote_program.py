"""A qmail-remote that somebody else wrote: one process for each delivery, and its report."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TRANSIENT
from pyqmail.message.address import split_address
from pyqmail.system import processes
from pyqmail.system.streams import DescriptorStream, wait_until_readable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyqmail.protocol.spawn import Job
    from pyqmail.send.gathering import Batch

UNABLE_TO_RUN: Final = b"ZUnable to run qmail-remote.\n"
NO_PIPE: Final = b"Zqmail-spawn unable to create pipe. (#4.3.0)\n"
MAX_OUTPUT: Final = 65536  # bytes; qmail-send keeps 10000 of a report

_VALUES: Final = {b"K": 1, b"Z": 0, b"D": -1}  # letters of qmail-remote, the better the greater


class RemoteProgram:
    """Has `program` deliver; a name without a slash is looked for in PATH."""

    def __init__(self, program: bytes, environ: Mapping[bytes, bytes]) -> None:
        self._program = program
        self._environ = environ

    async def deliver(self, batch: Batch, message: int) -> list[bytes]:
        """Return the reports, letter and text, on deliveries of the open file `message`."""
        return [await self._deliver(job, message) for job in batch.jobs]

    async def _deliver(self, job: Job, message: int) -> bytes:
        try:
            reading, writing = os.pipe()
        except OSError:
            return NO_PIPE
        try:
            try:
                pid = self._start(job, message, writing)
            finally:
                os.close(writing)
            output = await _read_all(reading)
        except OSError:
            # The original bounces when the program is missing. A repair helps, so we wait.
            return UNABLE_TO_RUN
        finally:
            os.close(reading)
        return report_of(await _end_of(pid), output)

    def _start(self, job: Job, message: int, output: int) -> int:
        domain = split_address(job.forward_path)[1] or b""
        return os.posix_spawnp(
            self._program,
            [self._program, domain, job.reverse_path, job.forward_path],
            self._environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, message, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setsigdef=processes.IGNORED_BY_PYTHON,
        )


async def _read_all(descriptor: int) -> bytes:
    stream = DescriptorStream(descriptor)
    output = b""
    while data := await stream.read():
        output = (output + data)[:MAX_OUTPUT]
    return output


async def _end_of(pid: int) -> int:
    # Nobody can say anything any more; but a program that closes its output
    # early must not hold up all others while we wait for its end.
    try:
        process = os.pidfd_open(pid)
    except OSError:
        # A kernel before 5.3, or no descriptor is left: a thread can wait, too.
        return await asyncio.to_thread(processes.wait_for, pid)
    try:
        await wait_until_readable(process)
    finally:
        os.close(process)
    return processes.wait_for(pid)


def report_of(status: int, output: bytes) -> bytes:
    """Return the report, letter and text, on a qmail-remote that ended so and said this."""
    if processes.crashed(status):
        return b"Zqmail-remote crashed.\n"
    code = processes.exit_code(status)
    if code:
        return UNABLE_TO_RUN if code == TRANSIENT else b"D" + UNABLE_TO_RUN[1:]
    if not output:
        return b"Zqmail-remote produced no output.\n"
    return digest(output)


def digest(output: bytes) -> bytes:
    """Turn the NUL-terminated reports of qmail-remote into the one for qmail-send.

    The letter of the recipient's report decides, unless the message fared
    worse; its text comes first, that of the message after it.
    """
    complete = output.split(b"\0")[:-1]
    result = next((_VALUES[text[:1]] for text in complete if text[:1] in _VALUES), -1)
    outcome = {b"s": 0, b"h": -1}.get(output[:1], result)
    # The first byte is a letter, whatever it is; and the message's report may lack its end.
    text, end, others = output[1:].partition(b"\0")
    if not end:
        text = b""
    elif result <= outcome and others[:1] in _VALUES:
        text += others[1:].partition(b"\0")[0]
    return {1: b"K", 0: b"Z", -1: b"D"}[outcome] + text
