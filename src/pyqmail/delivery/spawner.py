"""qmail-lspawn: takes jobs from qmail-send, finds the owners, has workers deliver.

It runs as root in a system home, so it does as little as it can: it parses no
message and reads no user's file, and waits for nothing but news.
"""

from __future__ import annotations

import os
import selectors

from pyqmail.control.launchers import is_ours
from pyqmail.delivery.lookups import Lookups
from pyqmail.delivery.recipient import Recipient
from pyqmail.delivery.reports import DELIVERY_AS_ROOT, report_of, status_of
from pyqmail.delivery.users import NoOwner, find_assigned, find_by_password
from pyqmail.delivery.wire import Task
from pyqmail.delivery.workers import Workers
from pyqmail.errors import SUCCESS
from pyqmail.message.address import split_address
from pyqmail.protocol.spawn import JobReader, encode_greeting, encode_report
from pyqmail.queue.job_check import JobRefused, open_job
from pyqmail.system.files import READ_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from pyqmail.control.assign import Assignment
    from pyqmail.control.roles import Roles
    from pyqmail.delivery.wire import Answer
    from pyqmail.protocol.spawn import Job

TICK: Final = 1.0  # seconds


class Spawner:
    """Serves the jobs that come in on descriptor 0 and reports on descriptor 1.

    The current directory must be queue/mess of `home`; `default` is what is
    done for who has no .qmail file.
    """

    def __init__(self, home: str, roles: Roles, default: bytes, slots: int, width: int) -> None:
        self._home = home
        self._roles = roles
        self._message_owner = roles.qmailq.uid
        self._default = default
        self._slots = slots
        self._width = width
        self._reader = JobReader(width)
        self._reading = True
        self._listening = True  # does qmail-send still want to know?
        self._in_use: set[int] = set()
        self._reports = b""  # of this turn of the loop
        self._selector = selectors.DefaultSelector()
        self._workers = Workers(home, dict(os.environb), self._selector, self._report_all)
        self._lookups = Lookups(home, roles, self._selector)

    def serve(self) -> None:
        """Deliver until qmail-send is gone and every delivery has ended."""
        self._write(encode_greeting(self._slots, self._width))
        self._selector.register(0, selectors.EVENT_READ, lambda _events: self._read_jobs())
        while self._reading or self._in_use:
            waiting = self._workers.busy or self._lookups.busy
            for key, events in self._selector.select(TICK if waiting else None):
                key.data(events)
            self._workers.tick()
            self._lookups.tick()
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
            message = open_job(job, ".", self._message_owner, self._slots, self._in_use)
        except JobRefused as refusal:
            self._say(job.slot, refusal.report)
            return
        self._in_use.add(job.slot)
        local, _ = split_address(job.forward_path)
        if not local:
            # `@host` is where mail is sent to be thrown away.
            self._end(job.slot, message, SUCCESS)
            return
        try:
            owner = find_assigned(self._home, local)
            if owner is None and self._roles.private:
                owner = find_by_password(local, self._roles)
        except NoOwner as failure:
            self._end(job.slot, message, failure.exit_code)
            return
        if owner is None:
            self._lookups.ask(local, lambda found: self._go_on(job, message, found))
        else:
            self._go_on(job, message, owner)

    def _go_on(self, job: Job, message: int, owner: Assignment | int) -> None:
        if isinstance(owner, int):
            self._end(job.slot, message, owner)
        elif owner.uid == 0:
            self._end(job.slot, message, DELIVERY_AS_ROOT)
        else:
            task = Task(
                job.slot,
                message,
                self._recipient(job, owner),
                replaced=not is_ours(self._home, "qmail-local"),
            )
            self._workers.deliver(owner.uid, owner.gid, task)

    def _recipient(self, job: Job, owner: Assignment) -> Recipient:
        local, domain = split_address(job.forward_path)
        return Recipient(
            owner.user,
            owner.home,
            local,
            owner.dash,
            owner.ext,
            domain or b"",
            job.reverse_path,
            self._default,
        )

    def _end(self, slot: int, message: int, code: int) -> None:
        """Report a delivery that no worker has seen."""
        os.close(message)
        self._report_all([(slot, status_of(code), b"")])

    def _report_all(self, answers: Iterable[Answer]) -> None:
        for slot, status, output in answers:
            self._in_use.discard(slot)
            self._say(slot, report_of(status, output))

    def _say(self, slot: int, report: bytes) -> None:
        self._reports += encode_report(slot, report, self._width)

    def _write(self, data: bytes) -> None:
        while data and self._listening:
            try:
                data = data[os.write(1, data) :]
            except OSError:
                self._listening = False  # the deliveries are finished all the same
