"""tcpserver's first process: it has the listening socket, and starts workers and ends them.

It can end at once when it is told to, as the original does, while workers hold
the sessions that are open; and a worker that crashed is replaced. Workers that are
confined (enclosure.py) are relieved by others that are not, as soon as a connection may need more.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.system.errnos import error_text
from pyqmail.ucspi.server import Post, run_worker
from pyqmail.ucspi.tally import Tally

if TYPE_CHECKING:
    from typing import NoReturn

    from pyqmail.ucspi.enclosure import Enclosure
    from pyqmail.ucspi.server import Plan

_PAUSE: Final = 1  # seconds before a worker that ended is replaced
_AWAITED: Final = (signal.SIGTERM, signal.SIGCHLD, signal.SIGIO)
_PIPE: Final = 65536  # bytes that it holds; pipe(7)
_CALL: Final = struct.Struct("i")  # in the pipe of calls: who calls


def run_server(plan: Plan, listener: socket.socket, workers: int) -> None:
    """Serve until TERM. On return nobody accepts any more; open sessions go on in the workers."""
    tally = Tally(plan.limit, workers)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends us and, from a terminal, the workers
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    parent = _Parent(plan, listener, tally)
    plan.log.status(0, plan.limit)
    for index in range(tally.workers):
        parent.start(index)
    while (number := signal.sigwait(_AWAITED)) != signal.SIGTERM:
        if number == signal.SIGIO:
            parent.hear_calls()
        elif parent.replace_the_dead():
            break
    parent.stop()


@dataclass(frozen=True, slots=True)
class _Employee:
    """A worker as its parent sees it."""

    index: int
    confined: bool
    is_relief: bool = False
    is_relieved: bool = False  # it accepts nobody any more


class _Parent:
    """The process above the workers."""

    def __init__(self, plan: Plan, listener: socket.socket, tally: Tally) -> None:
        self._plan = plan
        self._listener = listener
        self._tally = tally
        self._workers: dict[int, _Employee] = {}  # by pid
        self._enclosure: Enclosure | None = plan.enclosure
        # The workers see the end of this pipe when we are no more, whatever ended us.
        self._lifeline, self._life = os.pipe()
        self._calls, self._mouthpiece = os.pipe()
        if plan.enclosure is not None:
            os.set_blocking(self._calls, False)
            os.set_blocking(self._mouthpiece, False)
            _tell_by_signal(self._calls)

    def start(self, index: int, *, is_relief: bool = False) -> None:
        """Start one worker."""
        employee = _Employee(index, self._may_confine(), is_relief)
        share = self._tally.share(index, relief=is_relief)
        pid = os.fork()
        if pid == 0:
            os.close(self._life)
            call = self._call if employee.confined else None
            _be_worker(self._plan, self._listener, Post(self._lifeline, share, call))
        self._workers[pid] = employee

    def _may_confine(self) -> bool:
        """Decide for a new worker; once one had to have all, the others have."""
        if self._enclosure is not None and not self._enclosure.suffices():
            self._enclosure = None
        return self._enclosure is not None

    def _call(self) -> None:
        """Ask, as a worker, to be relieved."""
        with suppress(BlockingIOError):  # there are calls enough
            os.write(self._mouthpiece, _CALL.pack(os.getpid()))

    def hear_calls(self) -> None:
        """Relieve who is confined and has to have more: by one that is not confined.

        Nobody is believed: who has been taken over must not get an unconfined worker by asking.
        """
        try:
            calls = os.read(self._calls, _PIPE)
        except BlockingIOError:
            return
        for (pid,) in _CALL.iter_unpack(calls[: len(calls) - len(calls) % _CALL.size]):
            employee = self._workers.get(pid)
            if employee is not None and employee.confined and not self._may_confine():
                self._relieve(pid, employee)

    def _relieve(self, pid: int, employee: _Employee) -> None:
        if not employee.is_relieved:
            relieved = _Employee(employee.index, confined=True, is_relieved=True)
            self._workers[pid] = relieved
            os.kill(pid, signal.SIGTERM)
            self.start(employee.index, is_relief=True)

    def replace_the_dead(self) -> bool:
        """Start new workers for those that ended; return whether TERM came meanwhile."""
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return False
            employee = self._workers.pop(pid, None)
            if employee is None:
                continue
            if employee.is_relieved:
                self._tally.share(employee.index)  # no connections, however it ended
                continue
            self._plan.log.tell(b"worker %d ended with status %d; replacing it" % (pid, status))
            if signal.sigtimedwait((signal.SIGTERM,), _PAUSE) is not None:
                return True
            self.start(employee.index, is_relief=employee.is_relief)
        return False

    def stop(self) -> None:
        """Let nobody in any more, in no process, and have the workers end when they can."""
        with suppress(OSError):  # it may be closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)


def _tell_by_signal(pipe: int) -> None:
    """Have this process get IO when something comes; a worker that is confined can send none."""
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def _be_worker(plan: Plan, listener: socket.socket, post: Post) -> NoReturn:
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
        if post.call is not None:
            _confine(plan)
        run_worker(plan, listener, post)
        code = 0
    except Exception:  # noqa: BLE001  the top of the worker
        for line in traceback.format_exc().encode("utf-8", "backslashreplace").splitlines():
            plan.log.tell(line)
    finally:
        os._exit(code)


def _confine(plan: Plan) -> None:
    """Give up what connections do not need; mail is worth more than that."""
    assert plan.enclosure is not None  # else nobody would be relieved
    try:
        plan.enclosure.enter()
    except OSError as error:
        plan.log.tell(b"not confined: " + error_text(error))
