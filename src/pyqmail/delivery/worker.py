"""The delivery worker: one process for each user with mail, as that user.

qmail-lspawn forks it and sends it jobs, each with the message as an open
descriptor. It looks at nothing but its user's files, so whatever hangs there
delays that user alone. Deliveries that go to Maildirs only are made here, in
batches; every other one is made by a child of its own, so that a slow program
delays nobody. It ends when its socket is closed.
"""

from __future__ import annotations

import os
import select
import signal
import time

from pyqmail.delivery import (
    forwarding,  # noqa: F401  here, so that not every child has to load it
    wire,
)
from pyqmail.delivery.batch import deliver_all, is_for_maildirs
from pyqmail.delivery.local import obey, prepare, tell
from pyqmail.delivery.reports import CANNOT_RUN, CANNOT_RUN_YET, Output, status_of
from pyqmail.errors import SUCCESS, TRANSIENT, Failure, TransientFailure
from pyqmail.system import processes
from pyqmail.system.errnos import error_text, is_temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import NoReturn

    from pyqmail.delivery.local import Delivery
    from pyqmail.delivery.wire import Task

MAX_BATCH = 64  # deliveries that share their syncs
_READ_SIZE = 4096


class Worker:
    """Serves the jobs that come through `connection` until it is closed."""

    def __init__(self, connection: socket.socket, home: str, environ: dict[bytes, bytes]) -> None:
        self._connection = connection
        self._home = home
        self._environ = environ
        self._children: dict[int, _Child] = {}  # by the descriptor of their output
        self._open = True
        self._poll = select.poll()
        self._wakeup = _wake_up_on_child_death()

    def serve(self) -> None:
        """Deliver until no more can come and nothing is left to do."""
        self._poll.register(self._connection, select.POLLIN)
        self._poll.register(self._wakeup, select.POLLIN)
        while self._open or self._children:
            ready = [descriptor for descriptor, _ in self._poll.poll()]
            if self._wakeup in ready:
                os.read(self._wakeup, _READ_SIZE)
            for descriptor in ready:
                if descriptor in self._children:
                    self._read_output(self._children[descriptor])
            self._report_finished()
            if self._connection.fileno() in ready:
                self._work_off()

    def _work_off(self) -> None:
        batch: list[tuple[Task, Delivery]] = []
        answers = []
        for task in self._receive():
            try:
                delivery = self._begin(task)
            except Failure as failure:
                answers.append((task.slot, *_told(failure)))
                os.close(task.message)
            else:
                if delivery is not None:
                    batch.append((task, delivery))
        outcomes = deliver_all([delivery for _, delivery in batch])
        for (task, delivery), outcome in zip(batch, outcomes, strict=True):
            answers.append((task.slot, *_outcome(delivery, outcome)))
            os.close(task.message)
        wire.send_answers(self._connection, answers)

    def _receive(self) -> list[Task]:
        """Take what has arrived, and notice when nothing can arrive any more."""
        tasks: list[Task] = []
        while len(tasks) < MAX_BATCH:
            try:
                task = wire.receive_task(self._connection)
            except BlockingIOError:
                break
            if task is None:
                self._open = False
                self._poll.unregister(self._connection)
                break
            tasks.append(task)
        return tasks

    def _begin(self, task: Task) -> Delivery | None:
        """Prepare a delivery; return it if it is for the batch, else start a child for it."""
        if task.replaced:
            self._fork(task, lambda: self._execute(task))
            return None
        delivery = prepare(task.recipient, task.message, self._environ, int(time.time()))
        if is_for_maildirs(delivery):
            return delivery
        delivery.message = 0
        self._fork(task, lambda: tell(lambda: obey(delivery)))
        return None

    def _fork(self, task: Task, work: Callable[[], int]) -> None:
        """Have a child do `work` with the message as descriptor 0; take what it writes."""
        pid, reading, writing = _fork_with_pipe()
        if pid == 0:
            self._be_child(task.message, writing, work)
        os.close(writing)
        os.close(task.message)
        os.set_blocking(reading, False)
        self._children[reading] = _Child(task.slot, pid, reading)
        self._poll.register(reading, select.POLLIN)

    def _be_child(self, message: int, output: int, work: Callable[[], int]) -> NoReturn:
        code = TRANSIENT
        try:
            # Without this our death would not be seen, and who waits for the
            # child's programs to end would wake us.
            self._connection.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(message, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            code = work()
        except Exception as error:  # noqa: BLE001  the border of the process
            os.write(2, b"Unexpected %b. (#4.3.0)\n" % repr(error).encode())
        finally:
            os._exit(code)

    def _execute(self, task: Task) -> int:
        """Become the qmail-local that somebody put in the place of ours."""
        try:
            os.chdir(self._home)
            arguments = [b"bin/qmail-local", b"--", *task.recipient.arguments]
            processes.execute(b"bin/qmail-local", arguments, self._environ)
        except OSError as error:
            return CANNOT_RUN_YET if is_temporary(error.errno or 0) else CANNOT_RUN

    def _read_output(self, child: _Child) -> None:
        data = os.read(child.descriptor, _READ_SIZE)
        child.output.add(data)
        if not data:
            self._poll.unregister(child.descriptor)
            child.silent = True

    def _report_finished(self) -> None:
        """Answer for the children that are dead and whose output is at its end.

        A program in the background that keeps the output open keeps the
        delivery open, as in the original.
        """
        answers = []
        for child in list(self._children.values()):
            if child.is_dead() and child.silent:
                answers.append((child.slot, child.status, child.output.text))
                del self._children[child.descriptor]
                os.close(child.descriptor)
        wire.send_answers(self._connection, answers)


class _Child:
    """A delivery that is a process of its own."""

    def __init__(self, slot: int, pid: int, descriptor: int) -> None:
        self.slot = slot
        self.descriptor = descriptor
        self.output = Output()
        self.silent = False  # nobody can write any more
        self.status = 0  # the wait status, once it is dead
        self._pid = pid

    def is_dead(self) -> bool:
        """Reap the process if it is dead; say whether it is."""
        if self._pid:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._pid, self.status = 0, status
        return not self._pid


def _fork_with_pipe() -> tuple[int, int, int]:
    """Fork; return the pid as fork() does, and both ends of a pipe between the two."""
    try:
        reading, writing = os.pipe()
        try:
            return os.fork(), reading, writing
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
    except OSError as error:
        raise TransientFailure(b"Unable to fork: %b. (#4.3.0)" % error_text(error)) from error


def _told(failure: Failure) -> tuple[int, bytes]:
    return status_of(failure.exit_code), failure.text + b"\n"


def _outcome(delivery: Delivery, failure: Failure | None) -> tuple[int, bytes]:
    if failure is not None:
        return _told(failure)
    return status_of(SUCCESS), b"did %d+0+0\n" % len(delivery.instructions)


def _wake_up_on_child_death() -> int:
    """Return a descriptor that becomes readable when a child dies."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return reading
