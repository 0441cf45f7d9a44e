"""Whose mail a local part is: users/cdb first, then the password database; qmail-users(5).

A failure here has an exit code of its own, by which qmail-getpw tells
qmail-lspawn what went wrong.
"""

from __future__ import annotations

import os

from pyqmail.control import assign
from pyqmail.control.assign import Assignment
from pyqmail.control.cdb import CdbError
from pyqmail.errors import TransientFailure
from pyqmail.system.accounts import find_account
from pyqmail.system.errnos import is_temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from pyqmail.control.roles import Roles
    from pyqmail.system.accounts import Account

HOME_UNREACHABLE: Final = 115
NO_ALIAS: Final = 116
DATABASE_TROUBLE: Final = 117

BREAK: Final = b"-"  # what ends a user name and begins an extension; qmail's conf-break
MAX_USER_NAME: Final = 31  # bytes; qmail-getpw(8)


class NoOwner(TransientFailure):
    """Nobody knows for now whose mail it is; `exit_code` says why."""

    def __init__(self, exit_code: int, text: bytes) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def find_owner(home: str, local: bytes, roles: Roles) -> Assignment:
    """Return whose `local` is in this home. Raises NoOwner."""
    return find_assigned(home, local) or find_by_password(local, roles)


def find_assigned(home: str, local: bytes) -> Assignment | None:
    """Return whose `local` is by users/cdb, if that says it. Raises NoOwner."""
    try:
        return assign.find_owner(home, local)
    except (CdbError, OSError) as error:
        raise NoOwner(DATABASE_TROUBLE, b"trouble reading users/cdb") from error


def find_by_password(local: bytes, roles: Roles) -> Assignment:
    """Return the account that `local` begins with, else the account alias. Raises NoOwner.

    In a private home no account of the machine is asked for.
    """
    if not roles.private:
        for length in _user_name_lengths(local):
            account = _find_receiver(local[:length])
            if account is not None:
                rest = local[length:]
                return _assign(account, b"-" if rest else b"", rest[1:])
    try:
        return _assign(roles.alias, b"-", local)
    except TransientFailure as error:
        raise NoOwner(NO_ALIAS, error.text) from error


def encode_owner(owner: Assignment) -> bytes:
    """Return what qmail-getpw writes: six fields, a NUL after each."""
    fields = (owner.user, b"%d" % owner.uid, b"%d" % owner.gid, owner.home, owner.dash, owner.ext)
    return b"\0".join(fields) + b"\0"


def decode_owner(text: bytes) -> Assignment | None:
    """Return what a qmail-getpw has written; None if it is not six fields."""
    fields = text.split(b"\0")
    if len(fields) < 7:  # noqa: PLR2004  six fields and what comes after the last NUL
        return None
    user, uid, gid, home, dash, ext = fields[:6]
    return Assignment(user, _parse_id(uid), _parse_id(gid), home, dash, ext)


def _parse_id(text: bytes) -> int:
    return int(text[:20]) if text.isdigit() else 0  # nothing is delivered to 0


def _user_name_lengths(local: bytes) -> list[int]:
    """Return where a user name may end in `local`, the longest first."""
    longest = min(len(local), MAX_USER_NAME)
    lengths = range(longest, -1, -1)
    return [n for n in lengths if n == len(local) or local[n : n + 1] == BREAK]


def _find_receiver(name: bytes) -> Account | None:
    """Return the account `name` if it may receive mail: it owns its home and is not root."""
    account = find_account(os.fsdecode(name.lower()))
    if account is None or account.uid == 0:
        return None
    try:
        status = os.stat(account.home)
    except OSError as error:
        if is_temporary(error.errno or 0):
            raise NoOwner(HOME_UNREACHABLE, b"home directory cannot be reached") from error
        return None
    return account if status.st_uid == account.uid else None


def _assign(account: Account, dash: bytes, ext: bytes) -> Assignment:
    name, home = os.fsencode(account.name), os.fsencode(account.home)
    return Assignment(name, account.uid, account.gid, home, dash, ext)
