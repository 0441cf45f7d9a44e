"""All locks on a mailbox of a spool at once: NAME.lock, flock and lockf.

Mail programs of different families use different ones, so who moves a mailbox takes all.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TransientFailure
from pyqmail.system import files
from pyqmail.system.locks import try_lock
from pyqmail.system.running import process_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyqmail.system.accounts import Account

PATIENCE: Final = 30  # seconds; qmail-local's for its own mailboxes
_LOOK: Final = 0.1
_MODE: Final = 0o644


class MailLock:
    """The open, locked mailbox: `take()`, `release()` when it has moved, `close()` in any case."""

    def __init__(self, path: str, account: Account, patience: float = PATIENCE) -> None:
        self._path = path
        self._dotlock = path + ".lock"
        self._patience = patience
        self._held = False
        self.descriptor = _open(path, account)

    def take(self) -> None:
        """Lock it in every way. Raises TransientFailure if others hold it for too long."""
        self._wait(self._try_dotlock)
        self._held = True
        self.wait_for_the_file()

    def wait_for_the_file(self) -> None:
        """Lock the open file itself, whatever its name is by now."""
        self._wait(lambda: try_lock(self.descriptor))
        self._wait(self._try_lockf)

    def release(self) -> None:
        """Let others in."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_UN)
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        if self._held:
            files.discard(self._dotlock)
            self._held = False

    def close(self) -> None:
        """Release it, and close the file."""
        if self._held:
            files.discard(self._dotlock)
        os.close(self.descriptor)

    def _try_dotlock(self) -> bool:
        _remove_remains(self._dotlock)
        # Written first, then named: a lock that says nothing would never be known as ours.
        folder, name = os.path.split(self._dotlock)
        draft = os.path.join(folder, f".{name}")
        files.discard(draft)
        files.write_new_file(draft, b"%d\n" % os.getpid(), _MODE)
        try:
            files.link(draft, self._dotlock)
        except FileExistsError:
            return False
        finally:
            files.discard(draft)
        return True

    def _try_lockf(self) -> bool:
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _wait(self, attempt: Callable[[], bool]) -> None:
        end = time.monotonic() + self._patience
        while not attempt():
            if time.monotonic() > end:
                text = f"{self._path} is locked by another program: end it, and try again"
                raise TransientFailure(os.fsencode(text))
            time.sleep(_LOOK)


def _open(path: str, account: Account) -> int:
    """Open the mailbox, which the members of a group may have exchanged for anything."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != account.uid:
        os.close(descriptor)
        raise TransientFailure(os.fsencode(f"{path} is not {account.name}'s own file any more"))
    return descriptor


def _remove_remains(path: str) -> None:
    """Remove a lock of ours whose process was killed: it has our uid and a number of nobody's."""
    try:
        if os.lstat(path).st_uid != os.geteuid() or os.path.islink(path):
            return
        pid = int(files.read_all(path))
    except (OSError, ValueError):
        return
    if process_of(pid) is None:
        files.discard(path)
