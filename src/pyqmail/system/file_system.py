"""The file system that a folder lies on, made durable as a whole; see docs/decisions/0045."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where syncfs(2) leaves nothing behind in the kernel or in the disk. Others may do no
# more than write pages out (FUSE), or are not asked through their own device number.
_TRUSTED: Final = frozenset({b"ext4", b"xfs"})
_REPORTS_ERRORS: Final = (5, 8)  # Linux; before, syncfs() was silent about what was not written

# Bytes that wait to be written on all file systems together. With more, strangers' files would
# take longer than it saves.
_FEW: Final = 4 << 20
# And for each file that would else be synced by itself: a disk writes that much meanwhile.
_FEW_EACH: Final = 128 << 10

_MEMINFO_SIZE: Final = 4096  # bytes; it has 1500, and what is read here stands in the first 800


class FileSystem:
    """Makes all of one file system durable in one call. Make one before confining the process.

    One thread may use it: of an error that the kernel has to tell, each open file hears once.
    """

    def __init__(self, folders: Sequence[str], meminfo: str = "/proc/meminfo") -> None:
        """Open what all `folders` lie on; raise OSError if it is not one, or not to be trusted."""
        devices = {os.stat(folder).st_dev for folder in folders}
        trusted = _reports_errors(os.uname().release) and _type_of(min(devices)) in _TRUSTED
        if len(devices) > 1 or not trusted:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), folders[0])
        files.load_syncfs()  # loaded now: a confined process could not
        self._meminfo = os.open(meminfo, os.O_RDONLY | os.O_CLOEXEC)
        # Open all the time: errors of writing are told to whoever opened something before them.
        self._folder = os.open(folders[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def has_little_to_write(self, number: int) -> bool:
        """Ask whether `sync()` takes no longer than syncing a number of files one by one.

        No answer means that it would wait for the files of others.
        """
        try:
            meminfo = os.pread(self._meminfo, _MEMINFO_SIZE, 0)
        except OSError:  # in a container it may be served by somebody who has died
            return False
        waiting = waiting_bytes(meminfo)
        return waiting is not None and waiting < _FEW + number * _FEW_EACH

    def sync(self) -> None:
        """Return when all that was written before survives a power cut."""
        files.sync_file_system(self._folder)
        # ext4 without a journal may write directories after it has flushed the disk's cache.
        # This flushes it again.
        files.sync(self._folder)

    def close(self) -> None:
        """Close what was opened."""
        os.close(self._folder)
        os.close(self._meminfo)


def waiting_bytes(meminfo: bytes) -> int | None:
    """Return how many bytes wait to be written, from what proc(5) says of memory; None if not."""
    dirty = _number_after(b"\nDirty:", meminfo)
    on_its_way = _number_after(b"\nWriteback:", meminfo)
    return None if dirty is None or on_its_way is None else 1024 * (dirty + on_its_way)


def _number_after(name: bytes, text: bytes) -> int | None:
    digits = text.partition(name)[2].partition(b"kB")[0].strip()
    return int(digits) if digits.isdigit() else None


def _reports_errors(release: str) -> bool:
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0]
    return minor.isdigit() and (int(major), int(minor)) >= _REPORTS_ERRORS


def _type_of(device: int) -> bytes:
    """Return the type of the file system with this number; b"" if it is not told."""
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            # proc(5): number, parent, device, root, place, options, ... " - " type, source, options
            mount, _, source = line.partition(b" - ")
            if mount.split()[2] == wanted:
                return source.split()[0]
    return b""
