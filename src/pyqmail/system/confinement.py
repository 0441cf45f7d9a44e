"""Rights that a process gives up for good, beyond those that go with another user.

What is not there on a system, or not installed, is left out: who asks is told
what has become active. Only Linux has any of it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_NO_NEW_PRIVS: Final = 38  # prctl(2)
_LANDLOCK_CREATE_RULESET: Final = 444  # the same number on every architecture; landlock(7)
_LANDLOCK_VERSION: Final = 1  # the flag that asks for the version


def forbid_new_privileges() -> None:
    """Let no program that is executed from here on get rights by set-user-id or the like.

    Not for who executes programs of others: those may need them. Raises OSError.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def forbid_core_dumps() -> None:
    """Leave no file with our memory, which has other people's mail in it, if we crash."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def kernel_landlock() -> int:
    """Return the version of Landlock that the kernel has; 0 for none."""
    if not sys.platform.startswith("linux"):
        return 0
    version: int = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    return max(version, 0)


def why_no_landlock() -> str | None:
    """Return why confine() does nothing here; None if it does something."""
    if not kernel_landlock():
        return "the kernel has none"
    try:
        import py_landlock  # noqa: F401, PLC0415  an extra, and only one process needs it
    except ImportError:
        return "the library py-landlock is not installed"
    return None


def confine(readable: Sequence[str], writable: Sequence[str]) -> bool:
    """Reach no file but those below these paths, execute nothing, signal nobody outside.

    For this process and those that it starts, for good; the network stays open. Paths that are
    not there are left out. Return whether that is so now. Raises OSError.
    """
    if why_no_landlock() is not None:
        return False
    from py_landlock import Landlock, LandlockError  # noqa: PLC0415  see why_no_landlock()

    rules = Landlock(strict=False).allow_all_network()
    try:
        rules.allow_read(*filter(os.path.isdir, readable))
        rules.allow_read_write(*filter(os.path.isdir, writable))
        rules.apply()
    except LandlockError as error:
        raise OSError(errno.EPERM, f"unable to use Landlock: {error}") from error
    return True
