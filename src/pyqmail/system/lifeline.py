"""A process that must not outlive another, whatever ends the other.

`end_with_parent()` is for a child of the same user that execs a program;
`end_at_hangup()` for one that may be another user, whom the kernel would not
let the dying parent signal.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with_parent(parent: int) -> None:
    """Have the kernel send this process TERM when its parent, `parent`, ends.

    For a child between fork and exec; it holds after exec, not for the
    child's own children. Other systems than Linux have no such thing.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if os.getppid() != parent:  # it ended before the kernel knew
        os.kill(os.getpid(), signal.SIGTERM)


def end_at_hangup(reading: int) -> None:
    """Send this process TERM when nobody holds the writing end of the pipe `reading` any more.

    Nobody writes into it. On Linux no thread is needed for that, which would have been there
    before rights are given up, and would keep them.
    """
    if sys.platform.startswith("linux"):
        _have_term_sent(reading)
        return

    def wait() -> None:
        while os.read(reading, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _have_term_sent(reading: int) -> None:
    """Have the kernel tell of what happens to the pipe by TERM; fcntl(2)."""
    fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(reading, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([reading], [], [], 0)[0]:  # it happened before the kernel knew
        os.kill(os.getpid(), signal.SIGTERM)
