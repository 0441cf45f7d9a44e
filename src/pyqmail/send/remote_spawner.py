"""qmail-rspawn: takes jobs from qmail-send and starts a qmail-remote for each; qmail-rspawn(8).

Where no qmail-remote is installed every delivery is deferred, and says so:
mail that waits can be saved.
"""

from __future__ import annotations

import functools
import os
import selectors
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TRANSIENT
from pyqmail.message.address import split_address
from pyqmail.protocol.spawn import JobReader, encode_greeting, encode_report
from pyqmail.queue.job_check import JobRefused, open_job
from pyqmail.system import processes
from pyqmail.system.files import READ_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyqmail.protocol.spawn import Job

NO_REMOTE: Final = (
    b"ZThis server does not deliver to other hosts yet; the message waits. (#4.3.5)\n"
)
UNABLE_TO_RUN: Final = b"ZUnable to run qmail-remote.\n"
NO_PIPE: Final = b"Zqmail-spawn unable to create pipe. (#4.3.0)\n"
MAX_OUTPUT: Final = 65536  # bytes; qmail-send keeps 10000 of a report

_VALUES: Final = {b"K": 1, b"Z": 0, b"D": -1}  # letters of qmail-remote, the better the greater


class _Child:
    """A qmail-remote that runs."""

    def __init__(self, slot: int, pid: int, output: int) -> None:
        self.slot = slot
        self.pid = pid
        self.output = output  # a pipe; once that has ended, the process itself
        self.text = b""


class RemoteSpawner:
    """Serves the jobs that come in on descriptor 0 and reports on descriptor 1.

    The current directory must be queue/mess. `program` is what QMAILREMOTE
    names or the qmail-remote of PATH; None: there is none.
    """

    def __init__(
        self,
        program: bytes | None,
        environ: Mapping[bytes, bytes],
        message_owner: int,
        slots: int,
        width: int,
    ) -> None:
        self._program = program
        self._environ = environ
        self._message_owner = message_owner
        self._slots = slots
        self._width = width
        self._reader = JobReader(width)
        self._reading = True
        self._listening = True  # does qmail-send still want to know?
        self._children: dict[int, _Child] = {}  # by slot
        self._reports = b""
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Deliver until qmail-send is gone and every delivery has ended."""
        self._write(encode_greeting(self._slots, self._width))
        self._selector.register(0, selectors.EVENT_READ, self._read_jobs)
        while self._reading or self._children:
            for key, _events in self._selector.select():
                key.data()
            self._write(self._reports)
            self._reports = b""

    def _read_jobs(self) -> None:
        try:
            data = os.read(0, READ_SIZE)
        except OSError:
            data = b""
        if not data:
            self._reading = False
            self._selector.unregister(0)
        for job in self._reader.feed(data):
            self._begin(job)

    def _begin(self, job: Job) -> None:
        try:
            message = open_job(job, ".", self._message_owner, self._slots, self._children)
        except JobRefused as refusal:
            self._say(job.slot, refusal.report)
            return
        try:
            if self._program is None:
                self._say(job.slot, NO_REMOTE)
            else:
                self._start(job, message)
        finally:
            os.close(message)

    def _start(self, job: Job, message: int) -> None:
        assert self._program is not None, "asked before"
        domain = split_address(job.forward_path)[1] or b""
        arguments = [self._program, domain, job.reverse_path, job.forward_path]
        try:
            reading, writing = os.pipe()
        except OSError:
            self._say(job.slot, NO_PIPE)
            return
        try:
            pid = start_remote(arguments, self._environ, message, writing)
        except OSError:
            # The original bounces when the program is missing. A repair helps, so we wait.
            os.close(reading)
            self._say(job.slot, UNABLE_TO_RUN)
            return
        finally:
            os.close(writing)
        child = self._children[job.slot] = _Child(job.slot, pid, reading)
        self._selector.register(
            reading, selectors.EVENT_READ, functools.partial(self._read_output, child)
        )

    def _read_output(self, child: _Child) -> None:
        data = os.read(child.output, READ_SIZE)
        if data:
            child.text = (child.text + data)[:MAX_OUTPUT]
            return
        self._selector.unregister(child.output)
        os.close(child.output)
        # Nobody can say anything any more; but a program that closes its output
        # early must not hold up all others while we wait for its end.
        child.output = os.pidfd_open(child.pid)
        self._selector.register(
            child.output, selectors.EVENT_READ, functools.partial(self._end, child)
        )

    def _end(self, child: _Child) -> None:
        self._selector.unregister(child.output)
        os.close(child.output)
        status = processes.wait_for(child.pid)
        del self._children[child.slot]
        self._say(child.slot, report_of(status, child.text))

    def _say(self, slot: int, report: bytes) -> None:
        self._reports += encode_report(slot, report, self._width)

    def _write(self, data: bytes) -> None:
        while data and self._listening:
            try:
                data = data[os.write(1, data) :]
            except OSError:
                self._listening = False  # the deliveries are finished all the same


def start_remote(
    arguments: list[bytes], environ: Mapping[bytes, bytes], message: int, output: int
) -> int:
    """Start qmail-remote; what it says on descriptors 1 and 2 is its report. Return its pid."""
    moves = [
        (os.POSIX_SPAWN_DUP2, message, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    return os.posix_spawnp(
        arguments[0],
        arguments,
        environ,
        file_actions=moves,
        setsigdef=processes.IGNORED_BY_PYTHON,
    )


def report_of(status: int, output: bytes) -> bytes:
    """Return the report, letter and text, on a qmail-remote that ended so and said this."""
    if processes.crashed(status):
        return b"Zqmail-remote crashed.\n"
    code = processes.exit_code(status)
    if code:
        return UNABLE_TO_RUN if code == TRANSIENT else b"D" + UNABLE_TO_RUN[1:]
    if not output:
        return b"Zqmail-remote produced no output.\n"
    return _digest(output)


def _digest(output: bytes) -> bytes:
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
