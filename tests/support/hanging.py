"""A file system that answers nothing: whoever touches it waits until it is taken away."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE = "/dev/fuse"
_AT_ONCE = 1 | 2  # MNT_FORCE: whoever waits hears an error; MNT_DETACH; umount2(2)


def why_not() -> str | None:
    """Return why there can be no such file system here; None if there can."""
    if os.geteuid() != 0:
        return "only root mounts file systems"
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    return None


@contextmanager
def hanging(folder: str) -> Iterator[None]:
    """Mount it at `folder`: FUSE, with nobody who serves it. Errors come if this process dies."""
    library = ctypes.CDLL(None, use_errno=True)
    device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if library.mount(b"hanging", os.fsencode(folder), b"fuse", 0, options) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
        try:
            yield
        finally:
            library.umount2(os.fsencode(folder), _AT_ONCE)
    finally:
        os.close(device)
