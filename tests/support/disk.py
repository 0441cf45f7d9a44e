"""Faults of the disk: record its calls, make one fail, or die at one.

All of them hang on `system.files.watch()`, through which every call that
changes the disk passes.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIED = 77  # exit code of a child that was made to die


@contextmanager
def watched(watcher: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    """Have `watcher` called before each call while this lasts."""
    files.watch(watcher)
    try:
        yield
    finally:
        files.watch(None)


@contextmanager
def recorded() -> Iterator[list[tuple[Any, ...]]]:
    """Give a list that fills with (call, argument, …) while this lasts."""
    calls: list[tuple[Any, ...]] = []
    with watched(lambda call, arguments: calls.append((call, *arguments))):
        yield calls


@contextmanager
def failing(number: int, step: int, *, on: str | None = None) -> Iterator[list[str]]:
    """Make the call number `step` (from 0; counted among calls `on`) fail with errno `number`.

    Gives a list that holds the name of that call once it has failed.
    """
    failed: list[str] = []
    seen = 0

    def fail(call: str, _arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if on is None or call == on:
            seen += 1
            if seen == step + 1:
                failed.append(call)
                raise OSError(number, os.strerror(number))

    with watched(fail):
        yield failed


def dies_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child that dies before its call number `step`; say whether it did.

    False means that the work was done before it came to that call. Work that
    raises ends the test.
    """
    child = os.fork()
    if child == 0:
        _work_and_die(step, work)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, DIED}, f"the work ended with {code} instead"
    return code == DIED


def _work_and_die(step: int, work: Callable[[], object]) -> None:
    left = step

    def die(_call: str, _arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if left == 0:
            os._exit(DIED)
        left -= 1

    files.watch(die)
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)  # nothing of the parent's may run here: no fixture, no report
