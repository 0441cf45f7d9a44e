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
    """A message in a Maildir: `name` is relative to it, as `new/…`, and `time` when it came."""

    __slots__ = ("name", "time")

    def __init__(self, name: str, time: int) -> None:
        self.name = name
        self.time = time


def list_messages(maildir: str, now: int, folders: Sequence[str] = FOLDERS) -> list[Entry]:
    """Return the messages in the order in which they came, always the same.

    Those of the current second are left for the next time, since more of that
    second may still come. Raises OSError with the name of a folder that
    cannot be read.
    """
    entries = []
    for folder in folders:
        for name in _visible_names(os.path.join(maildir, folder)):
            path = os.path.join(folder, name)
            time = _time_of(os.path.join(maildir, path))
            if time is not None and time < now:
                entries.append(Entry(path, time))
    # By name where times are equal: else messages would change places between two sessions.
    entries.sort(key=lambda entry: (entry.time, os.path.basename(entry.name)))
    return entries


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


def _time_of(path: str) -> int | None:
    try:
        return int(os.stat(path).st_mtime)
    except OSError:
        return None  # another reader was faster
