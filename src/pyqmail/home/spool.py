"""Move the mailboxes of /var/spool/mail into the homes of their users, and back.

All that happens in a home is done by a child that has become its user. A
mailbox is copied, synced, and only then replaced by a link to its new place,
in one step: whenever this is interrupted, each letter is in the one place or
in the other, and to run it again finishes the work without a second copy.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.home import spool_copy
from pyqmail.home.mail_lock import MailLock
from pyqmail.home.stand_in import as_account
from pyqmail.system import files
from pyqmail.system.accounts import Account, find_account

if TYPE_CHECKING:
    from collections.abc import Iterator

SPOOL: Final = "/var/spool/mail"
MAILBOX: Final = "Mailbox"
MAILDIR: Final = "Maildir"
_OPEN_MODE: Final = 0o1777  # of the spool, so that programs of users can lock; the tutorials' mode
_FILE_MODE: Final = 0o660
_RECORD: Final = ".pyqmail-mode"  # in the spool: the mode that it had


@dataclass(frozen=True, slots=True)
class Move:
    """A mailbox that can be moved: from `source` of the spool to `target` in the user's home."""

    account: Account
    source: str
    target: str
    size: int


@dataclass(frozen=True, slots=True)
class Skip:
    """An entry of the spool that stays, and why."""

    name: str
    reason: str


def plan(spool: str, kind: str) -> Iterator[Move | Skip]:
    """Yield what to move into `kind`, MAILBOX or MAILDIR, and what stays."""
    for name in sorted(os.listdir(spool)):
        if name.startswith(".") or name.endswith(".lock"):
            continue
        path = os.path.join(spool, name)
        account, status = find_account(name), os.lstat(path)
        reason = _why_not(account, status)
        if reason is not None or account is None:
            yield Skip(name, reason or "")
        else:
            yield Move(account, path, os.path.join(account.home, kind), status.st_size)


def plan_back(spool: str) -> Iterator[Move | Skip]:
    """Yield what can be moved back into the spool."""
    for name in sorted(os.listdir(spool)):
        path = os.path.join(spool, name)
        account = find_account(name)
        if not os.path.islink(path) or account is None:
            continue
        target = os.readlink(path)
        if target not in {os.path.join(account.home, kind) for kind in (MAILBOX, MAILDIR)}:
            yield Skip(name, f"is a link to {target}, which was not made here")
        else:
            yield Move(account, path, target, 0)


def _why_not(account: Account | None, status: os.stat_result) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return "is a link already"
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return "is not a plain file with one name"
    if account is None:
        return "there is no such user"
    return _why_not_to(account, status.st_uid)


def _why_not_to(account: Account, owner: int) -> str | None:
    if account.uid == 0:
        return "root gets no mail: an alias names who reads it"
    if owner != account.uid:
        return f"belongs to uid {owner}, and not to the user"
    if not os.path.isdir(account.home) or os.stat(account.home).st_uid != account.uid:
        return f"the user does not own a home {account.home}: no mail would be delivered there"
    return None


def open_spool(spool: str) -> None:
    """Give the spool the mode 1777, and remember the one that it had."""
    mode = stat.S_IMODE(os.stat(spool).st_mode)
    if mode != _OPEN_MODE:
        files.replace_durably(os.path.join(spool, _RECORD), b"%o\n" % mode, 0o600)
        files.change_mode(spool, _OPEN_MODE)


def close_spool(spool: str) -> None:
    """Give the spool the mode back that it had before open_spool()."""
    path = os.path.join(spool, _RECORD)
    try:
        # Everybody can write here: what is not root's says nothing.
        if os.lstat(path).st_uid != os.geteuid() or os.path.islink(path):
            return
        mode = int(files.read_all(path), 8)
    except (FileNotFoundError, ValueError):
        return
    files.change_mode(spool, mode)
    files.unlink(path)


def move(task: Move) -> None:
    """Move one mailbox, and leave a link. Raises TransientFailure.

    Who reads or delivers meanwhile is kept out by every kind of lock that is in use.
    """
    lock = MailLock(task.source, task.account)
    source = lock.descriptor
    try:
        lock.take()
        copied = -1
        while copied != os.fstat(source).st_size:  # who knows no lock may have added something
            copied = os.fstat(source).st_size
            as_account(task.account, lambda: spool_copy.copy_into(source, task.target))
        _put_link(task)
        lock.release()
        # Who had opened the file, and waited for its lock, writes now.
        lock.wait_for_the_file()
        if os.fstat(source).st_size != copied:
            as_account(task.account, lambda: spool_copy.copy_rest(source, task.target, copied))
    finally:
        lock.close()
    as_account(task.account, lambda: spool_copy.forget(task.target))


def _put_link(task: Move) -> None:
    spool, name = os.path.split(task.source)
    temporary = os.path.join(spool, f".{name}.link")
    files.discard(temporary)
    files.symlink(task.target, temporary)
    files.rename(temporary, task.source)
    files.sync_directory(spool)


def move_back(task: Move) -> None:
    """Put the mail of `task.target` into the spool again, in the place of the link."""
    spool, name = os.path.split(task.source)
    temporary = os.path.join(spool, f".{name}.back")
    files.discard(temporary)
    descriptor = files.create_exclusively(temporary, 0o600)
    try:
        copied = as_account(task.account, lambda: spool_copy.copy_back(task.target, descriptor))
        os.fchown(descriptor, task.account.uid, os.stat(spool).st_gid)
        os.fchmod(descriptor, _FILE_MODE)
        files.rename(temporary, task.source)
        files.sync_directory(spool)
        # First what has come in between; then nothing is left behind.
        as_account(task.account, lambda: spool_copy.empty(task.target, descriptor, copied))
    finally:
        os.close(descriptor)
