"""Signals of a program that does one thing and ends: a time limit, and being told to stop."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
    from typing import Final, NoReturn
else:
    import _signal  # the C module: `signal` costs start-up time for its enums

# What a terminal, a login session or a limit may send; none of it shall stop a message half-way.
_IGNORED: Final = (
    _signal.SIGPIPE,
    _signal.SIGVTALRM,
    _signal.SIGPROF,
    _signal.SIGQUIT,
    _signal.SIGINT,
    _signal.SIGHUP,
    _signal.SIGXCPU,
    _signal.SIGXFSZ,
)


class Terminated(BaseException):
    """TERM came. Clean up, then `die()`."""


def ignore_interruptions() -> None:
    """Ignore the signals that users and terminals send, except TERM."""
    for number in _IGNORED:
        _signal.signal(number, _signal.SIG_IGN)


def die_of_term() -> NoReturn:
    """End as whom TERM killed."""
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    os.kill(os.getpid(), _signal.SIGTERM)
    os._exit(1)  # TERM is blocked: the parent wanted it so


class Interruptible:
    """While the context lasts, TERM raises Terminated and the end of the time limit TimeoutError.

    Outside of it TERM is ignored, so that what must not stop half-way does not.
    """

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def __enter__(self) -> None:
        _signal.signal(_signal.SIGALRM, _expire)
        _signal.signal(_signal.SIGTERM, _terminate)
        _signal.alarm(self._limit)

    def __exit__(self, *exception: object) -> None:
        _signal.alarm(0)
        _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)


def _expire(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
