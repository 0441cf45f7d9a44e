"""The event loop of a daemon: uvloop where it is installed, else asyncio's own."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop."""
    try:
        import uvloop  # noqa: PLC0415  not everywhere
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run_daemon(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on a loop, for as long as the process has anything to do.

    What is there now stays: the collector of garbage shall not look at all modules each time.
    """
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main)
