"""What lies in a Maildir, as its readers see it; maildir(5)."""

from __future__ import annotations

import os

from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

STALE_AFTER: Final = 129600  # seconds, 36 hours: deliverers give up after 24; maildir(5)
FOLDERS: Final = ("new", "cur")


class Entry:
    """A message in a Maildir: `name` is relative to it, as `new/…`, and `time` when it came.

    `size` is that of the file.
    """

    __slots__ = ("name", "size", "time")

    def __init__(self, name: str, time: int, size: int) -> None:
        self.name = name
        self.time = time
        self.size = size


def list_messages(maildir: str, now: int, folders: Sequence[str] = FOLDERS) -> list[Entry]:
    """Return the messages in the order in which they came, always the same.

    Those of the current second are left for the next time, since more of that
    second may still come. Raises OSError with the name of a folder that
    cannot be read.
    """
    found = []
    for folder in folders:
        place = os.path.join(maildir, folder) + "/"
        for name in _visible_names(place):
            try:
                status = os.stat(place + name)
            except OSError:
                continue  # another reader was faster
            time = int(status.st_mtime)
            if time < now:
                found.append((time, name, folder, status.st_size))
    # By name where times are equal: else messages would change places between two sessions.
    found.sort()
    return [Entry(f"{folder}/{name}", time, size) for time, name, folder, size in found]


def remove_stale_drafts(maildir: str, now: int) -> None:
    """Remove from tmp/ what no deliverer can still be writing."""
    folder = os.path.join(maildir, "tmp")
    try:
        names = list(_visible_names(folder))
    except OSError:
        return  # nothing to clean, or not ours to clean
    for name in names:
        path = os.path.join(folder, name)
        try:
            # The older of both times: atime stands still where the disk is mounted noatime.
            status = os.stat(path)
            if now > max(status.st_atime, status.st_mtime) + STALE_AFTER:
                files.unlink(path)
        except OSError:
            continue  # a deliverer was faster


def _visible_names(folder: str) -> Iterator[str]:
    return (name for name in os.listdir(folder) if not name.startswith("."))
