"""Whose a private home is, and becoming that account for good.

Root may start what follows here, but does nothing in a home itself: it drops
to the owner first. Whether the owner can reach what he needs is looked at
after that, with his own rights.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.home.launchers import interpreter, library_folders
from pyqmail.queue.layout import queue_directory
from pyqmail.system import errnos
from pyqmail.system.accounts import Account, drop_to, groups_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def require_home(home: str) -> None:
    """Raise PermanentFailure if there is no such folder; one that cannot be seen may be there."""
    try:
        os.stat(home + "/.")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PermanentFailure(
            os.fsencode(f"there is no home {home}: make one with qmailctl setup --home {home}")
        ) from error
    except OSError:
        return


def become_owner(home: str) -> Account:
    """Become the owner of the private home `home` and return him.

    Raise PermanentFailure if root owns it, or an ordinary user who is not the
    owner asks; TransientFailure if the owner cannot reach what he needs.
    """
    require_home(home)
    owner = roles_of(home).owner
    if owner.uid == 0:
        raise PermanentFailure(
            os.fsencode(
                f"root owns {home}, and nothing is delivered as root: choose another folder, "
                f"or give it to an ordinary account with chown -R ACCOUNT {home}"
            )
        )
    become(owner, home)
    require_reachable(home, owner)
    return owner


def become(account: Account, home: str) -> None:
    """Become `account` for good; who is it already stays as he is."""
    if os.getuid() not in (0, account.uid):
        raise PermanentFailure(
            os.fsencode(f"{home} belongs to {account.name}: run this as {account.name} or as root")
        )
    drop_to(account.uid, account.gid, groups_of(account))


@contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Have the rights of `account` for a moment, if we are root; to ask, not to be safe."""
    if os.geteuid() != 0:
        yield
        return
    gid, groups = os.getegid(), os.getgroups()
    os.setgroups(groups_of(account))
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def require_reachable(home: str, account: Account) -> None:
    """Raise TransientFailure unless this process can use home, interpreter and package."""
    if not _may(home, os.R_OK | os.W_OK | os.X_OK):
        raise _unreachable(home, account, "choose another folder")
    require_programs(account)


def require_way(home: str, account: Account) -> None:
    """Raise TransientFailure unless this process can come to the home."""
    if not _may(home, os.X_OK):
        raise _unreachable(home, account, "choose another folder")


def require_programs(account: Account) -> None:
    """Raise TransientFailure unless this process can use interpreter and package."""
    if not _may(interpreter(), os.X_OK):
        raise _unreachable(interpreter(), account, "install Python where everybody can execute it")
    for folder in library_folders():
        if not _may(folder, os.R_OK | os.X_OK):
            raise _unreachable(folder, account, "install pyqmail where everybody can read it")


def require_queue(home: str) -> None:
    """Raise PermanentFailure unless this process may look at the queue."""
    queue = queue_directory(home)
    if not os.path.isdir(queue):
        raise PermanentFailure(os.fsencode(f"there is no {queue}: run qmailctl setup"))
    if not _may(queue, os.R_OK | os.X_OK):
        owner = roles_of(home).owner.name
        who = "root" if owner == "root" else f"{owner} or as root"
        raise PermanentFailure(os.fsencode(f"{queue} is not for everybody: run this as {who}"))


def _may(path: str, mode: int) -> bool:
    return os.access(path, mode, effective_ids=True)


def _unreachable(path: str, account: Account, advice: str) -> TransientFailure:
    """Say which part of `path` is closed to `account`, and what to do."""
    closed = path
    try:
        os.stat(path)
        reason = b"access denied"
    except OSError as error:
        reason = errnos.error_text(error)
        while not _can_be_seen(os.path.dirname(closed)):
            closed = os.path.dirname(closed)
        closed = os.path.dirname(closed)
    how = f"chmod o+rx {closed}" if closed != path else f"chown {account.name} {closed}"
    return TransientFailure(
        os.fsencode(f"account {account.name} cannot use {path} (")
        + reason
        + os.fsencode(f" at {closed}): {advice}, or open it: {how}")
    )


def _can_be_seen(path: str) -> bool:
    return os.path.lexists(path) or path == os.path.dirname(path)
