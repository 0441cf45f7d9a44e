"""Every call that changes the disk, each in one function.

The rest of the project opens, writes, syncs, renames, links and removes files
through this module alone. So tests can record the calls, make any of them
fail, kill the process at any of them, and enumerate what a power cut may
leave: see `watch()`.

A file survives a power cut when its contents are synced *and* the directory
that names it is. Linux does not sync the second with the first; whoever
creates, links or renames a file and promises something calls
`sync_directory()` afterwards.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    # Called with the name of the call and its arguments, before the disk is
    # touched. It may raise OSError (the call fails), or never return.
    Watcher = Callable[[str, tuple[Any, ...]], None]

# Non-blocking open: a FIFO or a device in the way must not hang a daemon.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
_OVERWRITE = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC

READ_SIZE = 65536  # bytes; what one read asks for

_watcher: Watcher | None = None
_syncfs: Callable[[int], int] | None = None


def watch(watcher: Watcher | None) -> None:
    """Have `watcher` called before every call of this module that changes the disk.

    For tests: to count, to record, to fail (raise OSError) or to die. None
    takes the watcher away.
    """
    global _watcher  # noqa: PLW0603  one hook for the whole process is the purpose
    _watcher = watcher


def _announce(call: str, *arguments: Any) -> None:
    if _watcher is not None:
        _watcher(call, arguments)


def open_to_read(path: str) -> int:
    """Open `path` for reading; a FIFO does not hang the caller."""
    return os.open(path, _READ)


def create_exclusively(path: str, mode: int) -> int:
    """Create `path`, which must not exist, and return its descriptor for writing."""
    _announce("create", path, mode)
    return os.open(path, _CREATE, mode)


def open_to_append(path: str, mode: int) -> int:
    """Open `path` for appending; create it with `mode` if it is absent."""
    _announce("append", path, mode)
    return os.open(path, _APPEND, mode)


def open_to_overwrite(path: str) -> int:
    """Open the existing file `path` for writing in place; nothing is truncated."""
    return os.open(path, _OVERWRITE)


def write(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`. On OSError an unknown part of it is written."""
    _announce("write", descriptor, data)
    written = os.write(descriptor, data)
    if written == len(data):
        return
    view = memoryview(data)
    while written < len(view):
        written += os.write(descriptor, view[written:])


def write_at(descriptor: int, data: bytes, position: int) -> None:
    """Write all of `data` at `position`; it is OSError if the disk takes less."""
    _announce("write_at", descriptor, data, position)
    if os.pwrite(descriptor, data, position) != len(data):
        raise OSError(errno.ENOSPC, "short write")  # what a full disk does


def sync(descriptor: int) -> None:
    """Return when the contents of the open file survive a power cut."""
    _announce("sync", descriptor)
    os.fsync(descriptor)


def sync_contents(descriptor: int) -> None:
    """Return when the contents of the open file survive a power cut; its times may not."""
    _announce("sync_contents", descriptor)
    os.fdatasync(descriptor)


def sync_directory(path: str) -> None:
    """Return when the names in directory `path` survive a power cut."""
    _announce("sync_directory", path)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(descriptor: int) -> None:
    """Return when all files and names beside the open one survive a power cut.

    All of its file system, so it may wait for what strangers have written; see FileSystem.
    Errors since `descriptor` was opened, or since the last call with it, are told.
    """
    import ctypes  # noqa: PLC0415  few programs come here, and all start fast

    _announce("sync_file_system", descriptor)
    if load_syncfs()(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def load_syncfs() -> Callable[[int], int]:
    """Return syncfs(2), which the standard library lacks; load it before confining the process."""
    global _syncfs  # noqa: PLW0603  it is the same for the whole process
    if _syncfs is None:
        import ctypes  # noqa: PLC0415  as above

        _syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    return _syncfs


def sync_all(descriptors: Sequence[int], directories: Iterable[str]) -> None:
    """Return when the open files and the names in `directories` survive a power cut.

    On OSError nothing is known of any of them.
    """
    # The kernel is told first to start writing all of them; then the first
    # fsync takes most of the journal's work for the others with it. Measured on ext4, 64
    # messages of 1 kB (128 files): 13 ms, one after the other without this 28, eight
    # threads 15 for twice the processor time. syncfs needs 5, but waited up to
    # 1.4 s for files of strangers while somebody wrote a large one.
    if len(descriptors) > 1:
        for descriptor in descriptors:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    for descriptor in descriptors:
        sync(descriptor)
    for path in directories:
        sync_directory(path)


def truncate(descriptor: int, length: int) -> None:
    """Cut the open file to `length` bytes."""
    _announce("truncate", descriptor, length)
    os.ftruncate(descriptor, length)


def rename(old: str, new: str) -> None:
    """Rename `old` to `new` in one step, replacing it."""
    _announce("rename", old, new)
    os.rename(old, new)


def link(old: str, new: str) -> None:
    """Give the file `old` a second name, which must not exist."""
    _announce("link", old, new)
    os.link(old, new)


def symlink(target: str, path: str) -> None:
    """Make `path`, which must not exist, a symbolic link to `target`."""
    _announce("symlink", target, path)
    os.symlink(target, path)


def unlink(path: str) -> None:
    """Remove the name `path`."""
    _announce("unlink", path)
    os.unlink(path)


def discard(path: str) -> bool:
    """Remove the name `path` if it is there; say whether it was."""
    _announce("unlink", path)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def make_directory(path: str, mode: int) -> None:
    """Make directory `path` with exactly `mode`, whatever the umask says."""
    _announce("make_directory", path, mode)
    os.mkdir(path, mode)
    os.chmod(path, mode)


def remove_directory(path: str) -> None:
    """Remove the directory `path`, which must be empty."""
    _announce("remove_directory", path)
    os.rmdir(path)


def make_fifo(path: str, mode: int) -> None:
    """Make a FIFO with exactly `mode`, whatever the umask says."""
    _announce("make_fifo", path, mode)
    os.mkfifo(path, mode)
    os.chmod(path, mode)


def set_times(path: str | int, time: int) -> None:
    """Set access and modification time of a path or open file to `time`, in Unix seconds."""
    _announce("set_times", path, time)
    os.utime(path, (time, time))


def read_all(path: str) -> bytes:
    """Return the contents of `path`, which must be a file that fits into memory."""
    descriptor = open_to_read(path)
    try:
        return read_rest(descriptor)
    finally:
        os.close(descriptor)


def read_rest(descriptor: int) -> bytes:
    """Return all that is left to read from `descriptor`."""
    pieces = []
    while piece := os.read(descriptor, READ_SIZE):
        pieces.append(piece)
    return b"".join(pieces)


def write_new_file(path: str, data: bytes, mode: int) -> None:
    """Create `path` with `data`; on return its contents are synced, its name is not."""
    descriptor = create_exclusively(path, mode)
    try:
        write(descriptor, data)
        sync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: str, data: bytes, mode: int) -> None:
    """Give `path` the contents `data` in one step that survives a power cut.

    A reader sees the old file or the new one. On OSError it still sees the old
    one, and `path`.tmp is gone.
    """
    temporary = path + ".tmp"
    discard(temporary)
    try:
        write_new_file(temporary, data, mode)
        os.chmod(temporary, mode)
        rename(temporary, path)
    except OSError:
        discard(temporary)
        raise
    sync_directory(os.path.dirname(path) or ".")


def change_owner(path: str | int, uid: int, gid: int) -> None:
    """Give `path` to user `uid` and group `gid`."""
    _announce("change_owner", path, uid, gid)
    os.chown(path, uid, gid)


def change_mode(path: str, mode: int) -> None:
    """Give `path` exactly `mode`."""
    _announce("change_mode", path, mode)
    os.chmod(path, mode)


def open_inside(top: str, name: str) -> int:
    """Open `name` below the folder `top` for reading, and follow no link on the way.

    Who owns a folder below `top` could otherwise lead root anywhere.
    """
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in name.split("/") if name else ():
        try:
            inner = os.open(part, _READ | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def give(  # noqa: PLR0913  what a file can be given
    top: str, name: str, uid: int, gid: int, mode: int, *, names: int = 1
) -> None:
    """Give `name` below `top` owner, group and mode, if it has others; no link is followed.

    A file that has more names than the caller knows is refused: it may be somebody's own.
    """
    descriptor = open_inside(top, name)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > names:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK), os.path.join(top, name))
        if (status.st_uid, status.st_gid) != (uid, gid):
            _announce("change_owner", os.path.join(top, name), uid, gid)
            os.fchown(descriptor, uid, gid)
        # After the owner: a change of owner takes set-group-id away.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            _announce("change_mode", os.path.join(top, name), mode)
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
