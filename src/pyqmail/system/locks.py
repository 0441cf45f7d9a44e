"""Exclusive locks on open files: flock(2), as every program of the family uses it.

A lock belongs to the open file and ends when its last descriptor is closed,
also when the process dies.
"""

from __future__ import annotations

import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
else:
    import _signal  # the C module: `signal` costs start-up time for its enums


def try_lock(descriptor: int) -> bool:
    """Lock the open file if nobody else has; say whether it is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_exclusively(descriptor: int, timeout: float | None = None) -> None:
    """Return when the open file is locked; wait for others, at most `timeout` seconds.

    Raises TimeoutError when the time is over, another OSError when the file
    cannot be locked at all. With `timeout`, call it from the main thread.
    """
    if timeout is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    elif not try_lock(descriptor):
        _lock_with_alarm(descriptor, timeout)


def _lock_with_alarm(descriptor: int, timeout: float) -> None:
    # Not a loop of try_lock() and sleep: whoever waits inside flock() gets the
    # lock in its turn, whoever sleeps may miss every moment in which it is free.
    previous = _signal.signal(_signal.SIGALRM, _give_up)
    _signal.setitimer(_signal.ITIMER_REAL, timeout)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        _signal.signal(_signal.SIGALRM, previous)


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError
