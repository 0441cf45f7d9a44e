"""A network of our own: a namespace with nothing but a loopback that has all of 2001:db8::/32.

Who has such a network can listen at any of these addresses, and at any port; only what is
given to the interface counts as an address of the machine.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET: Final = 0x40000000  # unshare(2)
_HERE: Final = "/proc/thread-self/ns/net"
_COMMANDS: Final = (
    "ip link set lo up",
    "ip -6 route add local 2001:db8::/32 dev lo",
    "ip -6 address add 2001:db8:ffff::1/128 dev lo nodad",
)
OURS: Final = "2001:db8:ffff::1"  # the address that the interface has


def why_not() -> str | None:
    """Return why no such network can be had; None if it can."""
    if os.getuid() != 0:
        return "needs root, to make a network of its own"
    if shutil.which("ip") is None:
        return "needs the program ip, of iproute2"
    with open(_HERE, "rb") as before:
        try:
            _call("unshare", _CLONE_NEWNET)
        except OSError as error:
            return f"no network of our own can be made: {error.strerror}"
        _call("setns", before.fileno(), _CLONE_NEWNET)
    return None if os.path.exists("/proc/net/if_inet6") else "the kernel has no IPv6"


@contextmanager
def network_of_our_own() -> Iterator[None]:
    """Be in it while this lasts, with all threads and processes that are started meanwhile."""
    with open(_HERE, "rb") as before:
        _call("unshare", _CLONE_NEWNET)
        try:
            for command in _COMMANDS:
                subprocess.run(command.split(), check=True)
            yield
        finally:
            _call("setns", before.fileno(), _CLONE_NEWNET)


def _call(function: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
