"""Call a function in a child process, for what a test must not do to its own process."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, TypeVar

from pyqmail.errors import PermanentFailure, TransientFailure

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = 65534

Result = TypeVar("Result")


def in_child(function: Callable[[], Result]) -> Result:
    """Return what `function` returns in a child, or raise what it raises there."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            answer = pickle.dumps(_answer_of(function))
            with open(writing, "wb") as pipe:
                pipe.write(answer)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    failure, value = pickle.loads(answer)
    if failure is not None:
        raise failure(value)
    return value


def _answer_of(function: Callable[[], Result]) -> tuple[type[Exception] | None, object]:
    """Return what to raise, if anything, and its text; else None and the result."""
    try:
        return None, function()
    except PermanentFailure as failure:
        return PermanentFailure, failure.text
    except TransientFailure as failure:
        return TransientFailure, failure.text
    except BaseException as error:  # noqa: BLE001  the parent raises it
        return RuntimeError, repr(error)


def as_ordinary_user(function: Callable[[], Result]) -> Result:
    """Call `function` in a child that is an ordinary user: nobody, if we are root."""

    def call() -> Result:
        if os.getuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        return function()

    return in_child(call)
