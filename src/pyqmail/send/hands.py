"""Threads that may wait for the disk, so that the event loop of qmail-send never does."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyqmail.send import events


class Hand:
    """A thread that carries out actions in order, and tells in batches what came of them.

    `work` turns a batch of actions into events; `tell` is called with them in the thread,
    or `fail` with what should never happen: then the thread has ended.
    """

    def __init__(
        self,
        work: Callable[[Sequence[events.Action]], Iterable[events.Event]],
        tell: Callable[[list[events.Event]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._work = work
        self._tell = tell
        self._fail = fail
        self._queue: queue.SimpleQueue[events.Action | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def do(self, action: events.Action) -> None:
        """Have `action` carried out after all before it."""
        self._queue.put(action)

    def finish(self, timeout: float | None = None) -> None:
        """Return when all actions so far are carried out, or the time is over."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while self._carry_out_batch():
                pass
        except BaseException as error:  # noqa: BLE001  the top of a thread: nobody else would hear
            self._fail(error)

    def _carry_out_batch(self) -> bool:
        """Wait for actions and carry them out; say whether there may be more."""
        batch = [self._queue.get()]
        while not self._queue.empty():
            batch.append(self._queue.get())
        actions = [action for action in batch if action is not None]
        happened = list(self._work(actions))
        if happened:
            self._tell(happened)
        return len(actions) == len(batch)
