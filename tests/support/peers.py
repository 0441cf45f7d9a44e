"""Programs that others wrote, and terminals for those that want one."""

from __future__ import annotations

import os
import pty
import select
import shutil
import struct
import subprocess
import time
from fcntl import ioctl
from termios import TIOCSWINSZ
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATIENCE = 30  # seconds for what takes less than one
_SCREEN = struct.pack("HHHH", 40, 120, 0, 0)  # rows, columns


def require(name: str, package: str, *, path: str | None = None) -> str:
    """Return the path of a program; where it is not installed, skip the test and say so."""
    path = shutil.which(name, path=path or f"{os.defpath}:/usr/sbin:/usr/games")
    if path is None:
        pytest.skip(f"there is no {name}: Debian's {package} is not installed")
    return path


def run_in_terminal(
    argv: Sequence[str], options: Mapping[str, Any], keys: bytes = b""
) -> tuple[int, bytes]:
    """Run a program on a terminal of its own, press `keys`; return its exit code and its output.

    The keys are pressed once it has shown something and then been silent.
    """
    master, slave = pty.openpty()
    ioctl(slave, TIOCSWINSZ, _SCREEN)
    try:
        child = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, **options
        )
        os.close(slave)
        try:
            shown = _watch(master, child, keys)
        finally:
            child.kill()
            code = child.wait()
    finally:
        os.close(master)
    return code, shown


def _watch(master: int, child: subprocess.Popen[bytes], keys: bytes) -> bytes:
    end = time.monotonic() + PATIENCE
    shown = b""
    while time.monotonic() < end:
        if select.select([master], [], [], 0.5)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:  # Linux says so when the last one has closed the other side
                child.wait(PATIENCE)
                return shown
        elif shown and keys:
            os.write(master, keys[:1])
            keys = keys[1:]
    raise AssertionError(f"{child.args!r} did not end; it has shown {shown!r}")
