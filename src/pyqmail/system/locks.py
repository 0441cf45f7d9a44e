"""Exclusive locks on open files: flock(2), as every program of the family uses it.

A lock belongs to the open file and ends when its last descriptor is closed,
also when the process dies.
"""

from __future__ import annotations

import fcntl
import os

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


def holder_of_lock(path: str) -> int | None:
    """Return which process holds an exclusive lock on the file `path`, as Linux shows it.

    None if nobody does, or nobody can say: the process may belong to another container.
    """
    try:
        status = os.stat(path)
        with open("/proc/locks", "rb") as file:
            locks = file.read().split(b"\n")
    except OSError:
        return None
    major, minor = os.major(status.st_dev), os.minor(status.st_dev)
    wanted = b"%02x:%02x:%d" % (major, minor, status.st_ino)
    for line in locks:
        # 1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END; proc_locks(5)
        fields = line.split()
        if fields[1:2] == [b"FLOCK"] and fields[5:6] == [wanted] and fields[4].isdigit():
            return int(fields[4]) or None
    return None
