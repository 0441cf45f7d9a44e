"""tcpserver's worker: one process that accepts connections, one coroutine for each.

What it shares with other workers is the listening socket and a `Tally`. Who
starts workers, and ends them, is `workers.py`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.system.errnos import error_text
from pyqmail.system.loops import run_daemon
from pyqmail.ucspi.connection import Service, hold
from pyqmail.ucspi.environment import End
from pyqmail.ucspi.tally import Numbers

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pyqmail.system.dns import Resolver
    from pyqmail.ucspi.application import Application, Environment
    from pyqmail.ucspi.connection import Treatment
    from pyqmail.ucspi.enclosure import Enclosure
    from pyqmail.ucspi.log import Log
    from pyqmail.ucspi.tally import Share

# New connections in one turn of the loop, so that those that are served are not
# kept waiting; where several workers accept, one shall not take all.
_ACCEPTS_AT_ONCE: Final = 50
_ACCEPTS_AT_ONCE_OF_MANY: Final = 2

_PAUSE: Final = 1  # seconds without accepting when there is no descriptor left

# Errors of the connection that would have been next, not of the socket; accept(2).
_OF_THE_PEER: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,  # a firewall's word
        errno.EPROTO,
        errno.ETIMEDOUT,
    }
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker is to do; all workers have the same."""

    application: Application
    environ: Environment
    treatment: Treatment
    resolver: Resolver
    log: Log
    limit: int  # connections of all workers together
    limit_of_peer: int | None  # connections of one address, for each worker
    enclosure: Enclosure | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """What one worker has from its parent.

    `lifeline` is a pipe that ends when the parent does. `call` asks to be relieved by a
    worker that is not confined; None: this one is not.
    """

    lifeline: int
    share: Share
    call: Callable[[], None] | None = None


class Worker:
    """Accepts connections until TERM, or until its lifeline says that its parent has ended."""

    def __init__(self, plan: Plan, listener: socket.socket, post: Post) -> None:
        self._loop = asyncio.get_running_loop()
        self._plan = plan
        self._listener = listener
        self._post = post
        self._share = post.share
        self._most = _ACCEPTS_AT_ONCE if post.share.alone else _ACCEPTS_AT_ONCE_OF_MANY
        self._of_peer: Counter[bytes] = Counter()
        self._accepting = False
        self._short = False  # of descriptors, and the log knows
        self._pausing: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self._service = Service(
            plan.treatment,
            plan.application,
            plan.environ,
            plan.resolver,
            plan.log,
            Numbers(os.getpid(), post.share).next,
        )

    async def serve(self) -> None:
        """Serve until told to stop, and then those who are connected."""
        self._loop.add_signal_handler(signal.SIGTERM, self._stop)
        self._loop.add_reader(self._post.lifeline, self._stop)
        async with asyncio.TaskGroup() as self._connections:
            self._go_on()
            await self._stopping.wait()

    def _stop(self) -> None:
        self._loop.remove_reader(self._post.lifeline)
        self._stopping.set()
        self._rest()
        self._listener.close()

    # Accepting, or not.

    def _go_on(self) -> None:
        if not self._accepting and not self._stopping.is_set() and self._share.has_room():
            self._accepting = True
            self._loop.add_reader(self._listener, self._accept)

    def _rest(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._listener)
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None

    def _accept(self) -> None:
        if not self._suffices():
            return
        for _ in range(self._most):
            try:
                connection, address = self._listener.accept()
            except BlockingIOError:
                self._short = False  # nobody waits any more
                return
            except OSError as error:
                if error.errno in _OF_THE_PEER:
                    continue
                if error.errno == errno.EINVAL:  # nobody listens there any more
                    self._stop()
                else:
                    self._complain_and_pause(error)
                return
            self._welcome(connection, End.of(address))
            if not self._share.has_room():
                self._rest()
                return

    def _suffices(self) -> bool:
        """Ask whether we can do all for who comes next; else ask our parent for one who can."""
        call, enclosure = self._post.call, self._plan.enclosure
        if call is None or enclosure is None or enclosure.suffices():
            return True
        self._pause()
        call()
        return False

    def _complain_and_pause(self, error: OSError) -> None:
        self._pause()
        if not self._short:
            self._plan.log.tell(b"unable to accept for now: " + error_text(error))
            self._short = True

    def _pause(self) -> None:
        """Accept nobody for a moment; those who are connected are served."""
        self._rest()
        self._pausing = self._loop.call_later(_PAUSE, self._go_on)

    # Connections.

    def _welcome(self, connection: socket.socket, remote: End) -> None:
        network = remote.network
        most = self._plan.limit_of_peer
        if most is not None and self._of_peer[network] >= most:
            self._plan.log.refuse(remote.ip)
            connection.close()
            return
        self._of_peer[network] += 1
        self._share.add(1)
        self._say_status()
        self._connections.create_task(self._hold(connection, remote, network))

    async def _hold(self, connection: socket.socket, remote: End, network: bytes) -> None:
        try:
            await hold(self._service, connection, remote)
        finally:
            self._of_peer[network] -= 1
            if not self._of_peer[network]:
                del self._of_peer[network]
            self._share.add(-1)
            self._say_status()
            if self._pausing is None:
                self._go_on()

    def _say_status(self) -> None:
        self._plan.log.status(self._share.total(), self._plan.limit)


def run_worker(plan: Plan, listener: socket.socket, post: Post) -> None:
    """Be a worker until there is nothing left to do."""

    async def serve() -> None:
        await Worker(plan, listener, post).serve()

    run_daemon(serve())
