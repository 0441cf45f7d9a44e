"""The delivery workers, as qmail-lspawn sees them: one for each user with mail.

A worker serves one user id and group id, is handed its tasks over a socket
pair, and is dismissed when it has had nothing to do for some seconds. When it
dies, its deliveries have crashed, and nobody else's.
"""

from __future__ import annotations

import os
import selectors
import time

from pyqmail.delivery import wire
from pyqmail.delivery.offspring import Offspring
from pyqmail.delivery.reports import TEMPORARY_TROUBLE, status_of
from pyqmail.delivery.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from pyqmail.delivery.wire import Answer, Task

MAX_IDLE: Final = 10.0  # seconds after which a worker is dismissed
MAX_IDLE_WORKERS: Final = 50  # processes that are kept waiting for more mail of their users


class Workers:
    """Takes tasks and reports what became of them. Call `tick()` now and then."""

    def __init__(
        self,
        home: str,
        environ: dict[bytes, bytes],
        selector: selectors.BaseSelector,
        report: Callable[[Iterable[Answer]], None],
    ) -> None:
        self._home = home
        self._environ = environ
        self._selector = selector
        self._report = report
        self._workers: dict[tuple[int, int], _Colleague] = {}
        self._dismissed: list[Offspring] = []

    @property
    def busy(self) -> bool:
        """Is there anything that time alone could change?"""
        return bool(self._workers or self._dismissed)

    def deliver(self, uid: int, gid: int, task: Task) -> None:
        """Have the worker of `uid` and `gid` do `task`; its message is closed here."""
        colleague = self._workers.get((uid, gid))
        if colleague is None:
            try:
                colleague = self._engage(uid, gid)
            except OSError:
                os.close(task.message)
                self._report([(task.slot, status_of(TEMPORARY_TROUBLE), b"")])
                return
        colleague.tasks.append(task)
        colleague.slots.add(task.slot)
        self._hand_over(colleague)

    def tick(self) -> None:
        """Let workers go that have been idle for long, or are too many."""
        self._dismissed = [offspring for offspring in self._dismissed if not offspring.reap()]
        idle = [colleague for colleague in self._workers.values() if not colleague.slots]
        idle.sort(key=lambda colleague: colleague.since, reverse=True)
        oldest = time.monotonic() - MAX_IDLE
        for number, colleague in enumerate(idle):
            if number >= MAX_IDLE_WORKERS or colleague.since < oldest:
                self._remove(colleague)
                colleague.offspring.dismiss()
                self._dismissed.append(colleague.offspring)

    def _engage(self, uid: int, gid: int) -> _Colleague:
        home, environ = self._home, self._environ
        offspring = Offspring(
            "qmail-local", uid, gid, lambda connection: Worker(connection, home, environ).serve()
        )
        colleague = _Colleague(offspring, (uid, gid))
        self._workers[uid, gid] = colleague
        self._selector.register(
            offspring.connection,
            selectors.EVENT_READ,
            lambda events: self._attend(colleague, events),
        )
        return colleague

    def _attend(self, colleague: _Colleague, events: int) -> None:
        if events & selectors.EVENT_READ:
            try:
                packet = colleague.offspring.connection.recv(wire.MAX_PACKET)
            except ConnectionError:
                packet = b""
            if not packet:
                self._bury(colleague)
                return
            answers = list(wire.parse_answers(packet))
            colleague.slots.difference_update(slot for slot, _, _ in answers)
            colleague.since = time.monotonic()
            self._report(answers)
        if events & selectors.EVENT_WRITE:
            self._hand_over(colleague)

    def _hand_over(self, colleague: _Colleague) -> None:
        """Send tasks while there is room; the rest waits until there is again."""
        events = selectors.EVENT_READ
        while colleague.tasks:
            try:
                wire.send_task(colleague.offspring.connection, colleague.tasks[0])
            except BlockingIOError:
                events |= selectors.EVENT_WRITE
                break
            except OSError:
                break  # it is dead, or dying: _attend() will see it
            os.close(colleague.tasks.pop(0).message)
        if events != colleague.events:
            colleague.events = events
            key = self._selector.get_key(colleague.offspring.connection)
            self._selector.modify(colleague.offspring.connection, events, key.data)

    def _bury(self, colleague: _Colleague) -> None:
        """Report the deliveries of a worker that has died."""
        self._remove(colleague)
        status = colleague.offspring.bury()
        for task in colleague.tasks:
            os.close(task.message)
        self._report([(slot, status, b"") for slot in colleague.slots])

    def _remove(self, colleague: _Colleague) -> None:
        self._selector.unregister(colleague.offspring.connection)
        del self._workers[colleague.user]


class _Colleague:
    """One worker: who it is, and what it has to do."""

    def __init__(self, offspring: Offspring, user: tuple[int, int]) -> None:
        self.offspring = offspring
        self.user = user
        self.tasks: list[Task] = []  # not yet handed over
        self.slots: set[int] = set()  # not yet reported, handed over or not
        self.events = selectors.EVENT_READ
        self.since = time.monotonic()  # when it last reported
