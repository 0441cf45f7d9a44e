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
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PR_SET_NO_NEW_PRIVS: Final = 38  # prctl(2)
_LANDLOCK_CREATE_RULESET: Final = 444  # the same number on every architecture; landlock(7)
_LANDLOCK_VERSION: Final = 1  # the flag that asks for the version
_MOVES_FILES: Final = 2  # the version from which on files can be moved between folders
_MAX_LINKS: Final = 40  # one behind the other; as many as the kernel follows

# Names of hosts, users and servers, certificates, libraries, random numbers. The C library loads
# what finds users when the first is looked for; who is not found would be refused mail.
_OF_THE_MACHINE: Final = (
    *("/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/usr", "/gnu/store", "/nix/store"),
    *("/var/db", "/var/lib/extrausers", "/var/lib/misc", "/var/lib/sss"),
)
_RESOLVER: Final = "/etc/resolv.conf"  # often a link


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a process needs of the machine once it has begun, beside what all programs need.

    Folders, with all that lies below them; what is not there is left out. Nothing can be
    executed, and nobody else signalled. `network` says whether it opens connections, or
    listens, by TCP; those that it has go on, and sockets of UNIX are free.
    """

    readable: Sequence[str] = ()
    written: Sequence[str] = ()  # read, and files that are there changed
    removed: Sequence[str] = ()  # files removed
    filled: Sequence[str] = ()  # files made, changed, removed, and moved from one to the other
    network: bool = True


def kernel_landlock() -> int:
    """Return the version of Landlock that the kernel has; 0 for none."""
    if not sys.platform.startswith("linux"):
        return 0
    version: int = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    return max(version, 0)


def why_no_landlock() -> str | None:
    """Return why confine() does nothing here; None if it does something."""
    return _why_not() if kernel_landlock() else "the kernel has none"


@cache
def _why_not() -> str | None:
    try:
        from py_landlock import LandlockError, get_abi_version  # noqa: PLC0415  an extra
    except ImportError:
        return "the library py-landlock is not installed"
    try:
        get_abi_version()
    except LandlockError as error:  # it does not know every processor
        return f"py-landlock says: {error}"
    return None


def moves_files() -> bool:
    """Ask whether a confined process could move files from one folder to another."""
    return kernel_landlock() >= _MOVES_FILES


def confine(reach: Reach) -> bool:
    """Reach nothing else from here on: this thread, and what it starts, for good.

    Call it before there are others. Return whether it is so now. Raises OSError.
    """
    if why_no_landlock() is not None or (reach.filled and not moves_files()):
        return False
    from py_landlock import AccessFs, Landlock, LandlockError  # noqa: PLC0415  see _why_not()

    read = AccessFs.READ_FILE | AccessFs.READ_DIR
    write = AccessFs.WRITE_FILE | AccessFs.TRUNCATE
    fill = AccessFs.MAKE_REG | AccessFs.REMOVE_FILE | AccessFs.REFER
    rules = Landlock(strict=False)
    if reach.network:
        rules.allow_all_network()
    try:
        for folders, access in (
            ((*_of_the_machine(), *reach.readable), read),
            (reach.written, read | write),
            (reach.removed, AccessFs.REMOVE_FILE),
            (reach.filled, read | write | fill),
        ):
            rules.add_path_rule(*filter(os.path.isdir, folders), access=access)
        rules.apply()
    except LandlockError as error:
        raise OSError(errno.EPERM, f"unable to use Landlock: {error}") from error
    return True


def _of_the_machine() -> Iterator[str]:
    """Yield what every process may read, and nobody writes."""
    yield from _OF_THE_MACHINE
    yield from _folders_behind(_RESOLVER)
    yield from sys.path
    yield sys.base_prefix


def with_targets(folder: str) -> tuple[str, ...]:
    """Return `folder`, and the folders that symbolic links in it lead to.

    Certificates are often links into the folder of whatever renews them.
    """
    found = dict.fromkeys([folder])
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return (folder,)
    for name in names:
        found |= dict.fromkeys(_folders_behind(os.path.join(folder, name)))
    return tuple(found)


def _folders_behind(path: str) -> Iterator[str]:
    """Yield the folder of each step on the way of a link; never the whole machine."""
    for _ in range(_MAX_LINKS):
        if not os.path.islink(path):
            return
        path = os.path.join(os.path.dirname(path), os.readlink(path))
        folder = os.path.realpath(os.path.dirname(path))
        if folder != "/":
            yield folder
