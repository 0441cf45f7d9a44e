"""A limit on the time of waiting, for a task that waits often and for a moment only."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

    Result = TypeVar("Result")


class TimeLimit:
    """Ends what a task waits for when the time for it is over, as `asyncio.timeout()` does.

    That sets a timer for each wait, and most of a short session would be the setting
    of timers. Here one timer serves many waits: it is not moved, but looks, when it
    rings, whether the time is really over. `close()` takes it back.
    """

    __slots__ = ("_deadline", "_rings_at", "_rung", "_task", "_timer")

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf
        self._deadline = inf  # of the wait that goes on
        self._task: asyncio.Task[object] | None = None
        self._rung = False

    async def wait(self, deadline: float, awaitable: Awaitable[Result]) -> Result:
        """Return what `awaitable` gives. Raises TimeoutError at `deadline`, on the loop's clock.

        One wait at a time.
        """
        task = self._task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        cancelled_before = task.cancelling()
        self._deadline = deadline
        if deadline < self._rings_at:
            self._set_timer(deadline)
        try:
            return await awaitable
        except asyncio.CancelledError as error:
            # If somebody else has cancelled the task too, it is that which counts.
            if self._rung and task.cancelling() == cancelled_before + 1:
                raise TimeoutError from error
            raise
        finally:
            self._deadline = inf
            if self._rung:
                self._rung = False
                task.uncancel()

    def close(self) -> None:
        """Take the timer back; nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rings_at = inf

    def _set_timer(self, time: float) -> None:
        self.close()
        self._rings_at = time
        self._timer = asyncio.get_running_loop().call_at(time, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._rings_at = inf
        if self._deadline == inf:
            return  # the next wait sets it again
        if asyncio.get_running_loop().time() < self._deadline:
            self._set_timer(self._deadline)
        elif self._task is not None:
            self._rung = True
            self._task.cancel()
