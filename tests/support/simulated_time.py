"""Run a coroutine under a clock that jumps: an hour of waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

Result = TypeVar("Result")


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Where the loop would wait, the clock jumps instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("the coroutine waits for what will never come")
        if not events and timeout:
            self.now += timeout
        return events


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(coroutine: Coroutine[Any, Any, Result]) -> tuple[Result, float]:
    """Return the result, and the seconds that it took by its own clock."""
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        result = runner.run(coroutine)
        return result, runner.get_loop().time()
