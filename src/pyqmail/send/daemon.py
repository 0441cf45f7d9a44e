"""qmail-send as a process: carries out what the core decides; qmail-send(8).

One event loop speaks to the spawners, hears signals and the trigger, and
writes the log. Everything that may wait for the disk happens in three threads
(`hands`, `store_work`): one for the store, one for bounces, one for the search for
leftovers.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

from pyqmail.queue.store import DamagedMessage, StoreFailure
from pyqmail.send import events, log
from pyqmail.send.hands import Hand
from pyqmail.send.store_work import StoreWork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyqmail.queue.settling import Cleaner
    from pyqmail.queue.store import Channel, Store
    from pyqmail.send.bounces import BounceSettings
    from pyqmail.send.core import Core
    from pyqmail.send.routing import Routing
    from pyqmail.send.spawners import SpawnerPipes
    from pyqmail.send.store_work import Inject

LOG: Final = 0  # descriptor; qmail-send(8)

# The caller blocks these until run() listens: they would kill a process that only begins.
# TERM may do just that; nothing is under way yet.
KEPT_FOR_LATER: Final = (signal.SIGALRM, signal.SIGHUP)

# Seconds. The clock that the core sees may be set while we sleep, so we never sleep long.
MAX_SLEEP: Final = 300

# Seconds at the end for a bounce whose program hangs. The core has waited for it before.
LAST_WAIT: Final = 1


class SharedCleaner:
    """One qmail-clean for several threads: its answers must not be mixed up."""

    def __init__(self, cleaner: Cleaner) -> None:
        self._cleaner = cleaner
        self._lock = threading.Lock()

    def clean(self, requests: Sequence[bytes]) -> bytes:
        """Answer each request with one byte."""
        with self._lock:
            return self._cleaner.clean(requests)


class Daemon:
    """The running qmail-send.

    `read_routing` reads control/locals and virtualdomains again; it returns
    the new routing, or the line for the log that says why the old one stays.
    """

    def __init__(
        self,
        core: Core,
        store: Store,
        spawners: Mapping[Channel, SpawnerPipes],
        read_routing: Callable[[], Routing | bytes],
    ) -> None:
        self._core = core
        self._store = store
        self._spawners = spawners
        self._read_routing = read_routing
        self._happened: list[events.Event] = []
        self._handling_is_due = False
        self._alarm: asyncio.TimerHandle | None = None

    async def run(self, settings: BounceSettings, inject: Inject) -> None:
        """Schedule deliveries until TERM, or until a neighbour is gone."""
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.create_future()
        self._listen()
        # After that: threads, and the programs they start, inherit what is blocked.
        self._work = StoreWork(self._store, settings, inject)
        self._hands = [
            Hand(self._work.work, self._tell_from_thread, self._fail_from_thread) for _ in range(3)
        ]
        self._store_hand, self._bounce_hand, self._sweep_hand = self._hands
        self._carry_out(self._core.start(time.time()))
        self._set_alarm()
        await self._end
        self._loop.remove_reader(self._store.arrivals())

    def _listen(self) -> None:
        for pipes in self._spawners.values():
            pipes.attach(self._loop, self._tell)
        self._loop.add_reader(self._store.arrivals(), self._on_trigger)
        self._loop.add_signal_handler(signal.SIGTERM, self._tell, events.ExitRequested())
        self._loop.add_signal_handler(signal.SIGALRM, self._tell, events.RetryRequested())
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, KEPT_FOR_LATER)

    # What happened.

    def _tell(self, event: events.Event) -> None:
        self._happened.append(event)
        if not self._handling_is_due:
            self._handling_is_due = True
            self._loop.call_soon(self._handle)

    def _tell_from_thread(self, happened: list[events.Event]) -> None:
        self._loop.call_soon_threadsafe(self._tell_all, happened)

    def _fail_from_thread(self, error: BaseException) -> None:
        self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        # A core, or a thread, that has failed once must not decide about mail again.
        if not self._end.done():
            self._end.set_exception(error)

    def _tell_all(self, happened: list[events.Event]) -> None:
        for event in happened:
            self._tell(event)

    def _on_trigger(self) -> None:
        self._store.heard()
        self._tell(events.Arrived())

    def _on_hangup(self) -> None:
        routing = self._read_routing()
        if isinstance(routing, bytes):
            self._tell(events.Trouble(routing))
        else:
            self._tell(events.RoutingChanged(routing))

    # What is to be done.

    def _handle(self) -> None:
        self._handling_is_due = False
        happened, self._happened = self._happened, []
        try:
            self._carry_out(self._core.handle(happened, time.time()))
        except Exception as error:  # noqa: BLE001  it ends the process, and is logged there
            self._fail(error)
            return
        self._set_alarm()

    def _carry_out(self, actions: list[events.Action]) -> None:
        lines = []
        for action in actions:
            if isinstance(action, events.Log):
                lines.append(action.line)
            elif isinstance(action, events.StartDelivery):
                self._spawners[action.channel].send(action.job)
            elif isinstance(action, events.Bounce | events.Tell):
                self._bounce_hand.do(action)
            elif isinstance(action, events.Sweep):
                self._sweep_hand.do(action)
            elif isinstance(action, events.Exit):
                self._exit()
            else:
                self._store_hand.do(action)
        write_log(lines)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        wake_at = self._core.wake_at()
        if wake_at is not None:
            pause = min(max(wake_at - time.time(), 0), MAX_SLEEP)
            self._alarm = self._loop.call_later(pause, self._handle)

    def _exit(self) -> None:
        self._work.stopping = True
        self._store_hand.finish()
        self._sweep_hand.finish()
        self._bounce_hand.finish(LAST_WAIT)
        if not self._end.done():
            self._end.set_result(None)


def adopt_queue(core: Core, store: Store) -> None:
    """Tell `core` what the queue holds from an earlier run; log what cannot be read."""
    now = time.time()
    for scheduled in store.scheduled_messages():
        if not isinstance(scheduled, StoreFailure):
            core.adopt(scheduled, now)
            continue
        damaged = isinstance(scheduled, DamagedMessage)
        write_log([log.unreadable(scheduled.text, damaged=damaged)])
        if not damaged:
            core.adopt_more_later(now)


def write_log(lines: Sequence[bytes]) -> None:
    """Write lines into the log, all at once; a log that is gone stops no mail."""
    data = b"".join([line + b"\n" for line in lines])
    try:
        while data:
            data = data[os.write(LOG, data) :]
    except OSError:
        pass
