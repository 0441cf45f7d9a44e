"""tcpserver's first process: it has the listening socket, and starts workers and ends them.

It can end at once when it is told to, as the original does, while workers hold
the sessions that are open; and a worker that crashed is replaced.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.ucspi.server import run_worker
from pyqmail.ucspi.tally import Tally

if TYPE_CHECKING:
    from typing import NoReturn

    from pyqmail.ucspi.server import Plan
    from pyqmail.ucspi.tally import Share

_PAUSE: Final = 1  # seconds before a worker that ended is replaced
_AWAITED: Final = (signal.SIGTERM, signal.SIGCHLD)


def run_server(plan: Plan, listener: socket.socket, workers: int) -> None:
    """Serve until TERM. On return nobody accepts any more; open sessions go on in the workers."""
    tally = Tally(plan.limit, workers)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends us and, from a terminal, the workers
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    parent = _Parent(plan, listener, tally)
    plan.log.status(0, plan.limit)
    for index in range(tally.workers):
        parent.start(index)
    while signal.sigwait(_AWAITED) != signal.SIGTERM:
        if parent.replace_the_dead():
            break
    parent.stop()


class _Parent:
    """The process above the workers."""

    def __init__(self, plan: Plan, listener: socket.socket, tally: Tally) -> None:
        self._plan = plan
        self._listener = listener
        self._tally = tally
        self._workers: dict[int, int] = {}  # pid: index
        # The workers see the end of this pipe when we are no more, whatever ended us.
        self._lifeline, self._life = os.pipe()

    def start(self, index: int) -> None:
        """Start one worker."""
        share = self._tally.share(index)
        pid = os.fork()
        if pid == 0:
            os.close(self._life)
            _be_worker(self._plan, self._listener, self._lifeline, share)
        self._workers[pid] = index

    def replace_the_dead(self) -> bool:
        """Start new workers for those that ended; return whether TERM came meanwhile."""
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return False
            index = self._workers.pop(pid, None)
            if index is None:
                continue
            self._plan.log.tell(b"worker %d ended with status %d; replacing it" % (pid, status))
            if signal.sigtimedwait((signal.SIGTERM,), _PAUSE) is not None:
                return True
            self.start(index)
        return False

    def stop(self) -> None:
        """Let nobody in any more, in no process, and have the workers end when they can."""
        with suppress(OSError):  # it may be closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)


def _be_worker(plan: Plan, listener: socket.socket, lifeline: int, share: Share) -> NoReturn:
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
        run_worker(plan, listener, lifeline, share)
        code = 0
    except Exception:  # noqa: BLE001  the top of the worker
        for line in traceback.format_exc().encode("utf-8", "backslashreplace").splitlines():
            plan.log.tell(line)
    finally:
        os._exit(code)
