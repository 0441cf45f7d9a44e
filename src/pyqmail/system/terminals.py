"""Who is logged in where, and terminals to write to."""

from __future__ import annotations

import os
import stat
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

UTMP: Final = "/var/run/utmp"
_RECORD: Final = struct.Struct("=hxxi32s4s32s256s76x")  # utmp(5) on Linux
_USER_PROCESS: Final = 7

_BIFF: Final = stat.S_IXUSR  # what `biff y` sets on a terminal


def terminals_of(user: bytes, path: str = UTMP) -> list[bytes]:
    """Return the names below /dev of the terminals on which `user` is logged in."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return []
    whole = len(data) - len(data) % _RECORD.size
    lines = [
        line.partition(b"\0")[0]
        for kind, _, line, _, name, _ in _RECORD.iter_unpack(data[:whole])
        if kind == _USER_PROCESS and name.partition(b"\0")[0] == user
    ]
    # The record is not always written by root: no way out of /dev.
    return [line for line in lines if line and not line.startswith(b"/") and b"." not in line]


def write_to_terminal(name: bytes, text: bytes) -> None:
    """Write on the terminal `name` if it is ours and wants to hear of mail; never wait for it."""
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(b"/dev/" + name, flags)
    except OSError:
        return
    try:
        status = os.fstat(descriptor)
        if status.st_mode & _BIFF and status.st_uid == os.getuid():
            os.write(descriptor, text)
    except OSError:
        pass  # somebody logged out, or has stopped the terminal
    finally:
        os.close(descriptor)
