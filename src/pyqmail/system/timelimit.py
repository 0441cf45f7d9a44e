"""A limit on the time of waiting, for a task that waits often and for a moment only."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Self

    Result = TypeVar("Result")


class TimeLimit:
    """Ends what a task waits for when the time for it is over, as `asyncio.timeout()` does.

    That sets a timer for each wait, and most of a short session would be the setting
    of timers. Here one timer serves many waits: it is not moved, but looks, when it
    rings, whether the time is really over. `close()` takes it back.

    `task` is who waits, if it is always the same.
    """

    __slots__ = ("_cancellations", "_deadline", "_owner", "_rings_at", "_rung", "_task", "_timer")

    def __init__(self, task: asyncio.Task[Any] | None = None) -> None:
        self._owner = task
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf
        self._deadline = inf  # of the wait that goes on
        self._task: asyncio.Task[Any] | None = None
        self._cancellations = 0  # of the task, when the wait began
        self._rung = False

    async def wait(self, deadline: float, awaitable: Awaitable[Result]) -> Result:
        """Return what `awaitable` gives. Raises TimeoutError at `deadline`, on the loop's clock."""
        with self.until(deadline):
            return await awaitable

    def until(self, deadline: float) -> Self:
        """Return the context for a wait; it raises TimeoutError at `deadline`.

        One wait at a time.
        """
        self._deadline = deadline
        return self

    def __enter__(self) -> None:
        task = self._task = self._owner or asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self._cancellations = task.cancelling()
        if self._deadline < self._rings_at:
            self._set_timer(self._deadline)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._deadline = inf
        if not self._rung:
            return
        self._rung = False
        assert self._task is not None, "it was the timer that rang for it"
        # If somebody else has cancelled the task too, it is that which counts.
        over = self._task.uncancel() == self._cancellations
        if over and kind is asyncio.CancelledError:
            raise TimeoutError

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
