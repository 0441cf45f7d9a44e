"""The file `queue/journal/use`: whether there is anything in the journal, and since which boot.

It exists while qmail-queued appends to its journal, and until all that was appended survives as
files. It names the boot of the machine and, not synced, the last frame. With both right,
the kernel has forgotten nothing: the files are as they were left, whether they survive or not.
"""

from __future__ import annotations

import os

from pyqmail.queue import layout
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_NAME: Final = "use"
_DIGITS: Final = 20  # of the number of a frame
_DOUBT: Final = b"doubt"  # in the place of a boot
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"  # random(4)


def is_used(queue: str) -> bool:
    """Say whether there may be accepted messages whose files do not survive yet."""
    return os.path.lexists(_path(queue))


def awaits_recovery(queue: str) -> bool:
    """Say whether accepted messages may be missing or damaged, since the machine went down."""
    used = _read(queue)
    return used is not None and used[0] != boot_id()


def kernel_remembers(queue: str, last: int) -> bool:
    """Say whether files are as they were left; `last` is the number of the last frame, or 0."""
    used = _read(queue)
    return used is not None and used[0] == boot_id() and used[1] >= last


def is_in_doubt(queue: str) -> bool:
    """Say whether the kernel may believe files written that are not."""
    used = _read(queue)
    return used is not None and used[0] == _DOUBT


def doubt(queue: str) -> None:
    """Have the next recovery believe no file, since a sync has failed.

    The kernel forgets what it could not write, and reads as if it were there.
    """
    text = b"%b %0*d\n" % (_DOUBT, _DIGITS, 0)
    try:  # noqa: SIM105  contextlib costs start-up time
        files.replace_durably(_path(queue), text, layout.FILE_MODE)
    except OSError:
        pass  # a disk that takes nothing will not take the next recovery either


def boot_id() -> bytes:
    """Return what the kernel calls the time since it was started."""
    return files.read_all(_BOOT_ID).strip()


def forget(queue: str) -> None:
    """Say that the journal is empty, durably."""
    files.discard(_path(queue))
    files.sync_directory(layout.journal_directory(queue))


class Use:
    """The file, being written."""

    def __init__(self, queue: str) -> None:
        """Say that the journal is in use from here on, durably."""
        boot = boot_id()
        files.discard(_path(queue))
        self._descriptor = files.create_exclusively(_path(queue), layout.FILE_MODE)
        files.write(self._descriptor, b"%b %0*d\n" % (boot, _DIGITS, 0))
        files.sync(self._descriptor)
        files.sync_directory(layout.journal_directory(queue))
        self._position = len(boot) + 1

    def note(self, sequence: int) -> None:
        """Name the frame that is appended next; the kernel may write that when it likes."""
        files.write_at(self._descriptor, b"%0*d" % (_DIGITS, sequence), self._position)

    def close(self) -> None:
        """Close the file, and let it stay."""
        os.close(self._descriptor)


def _read(queue: str) -> tuple[bytes, int] | None:
    """Return boot and last frame; None if the journal is not in use."""
    try:
        text = files.read_all(_path(queue))
    except FileNotFoundError:
        return None
    boot, _, digits = text.strip().partition(b" ")
    return boot, int(digits) if digits.isdigit() else -1


def _path(queue: str) -> str:
    return f"{layout.journal_directory(queue)}/{_NAME}"
