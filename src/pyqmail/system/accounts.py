"""Accounts of the machine, and becoming one of them for good."""

from __future__ import annotations

import grp
import os
import pwd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Account:
    """A user of the machine: name, numbers and home directory."""

    __slots__ = ("gid", "home", "name", "uid")

    def __init__(self, name: str, uid: int, gid: int, home: str) -> None:
        self.name = name
        self.uid = uid
        self.gid = gid
        self.home = home

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Account({self.name!r}, {self.uid}, {self.gid}, {self.home!r})"

    def _key(self) -> tuple[str, int, int, str]:
        return self.name, self.uid, self.gid, self.home


def find_account(name: str) -> Account | None:
    """Return the account called `name`; None if there is none."""
    try:
        return _account(pwd.getpwnam(name))
    except (KeyError, ValueError):  # ValueError: a NUL in it
        return None


def find_account_of(uid: int) -> Account | None:
    """Return the account with user id `uid`; None if there is none."""
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        return None


def find_shell(name: str) -> str:
    """Return the shell of the account called `name`; empty if it has none."""
    try:
        return pwd.getpwnam(name).pw_shell
    except (KeyError, ValueError):
        return ""


def find_group(name: str) -> int | None:
    """Return the id of the group called `name`; None if there is none."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def groups_of(account: Account) -> list[int]:
    """Return all groups of an account, as a login would give them; its own where it has no name."""
    if find_account_of(account.uid) is None:
        return [account.gid]
    return os.getgrouplist(account.name, account.gid)


def drop_to(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Become `uid`, `gid` and `groups` for good; raise OSError if that cannot be.

    On return no call brings the former rights back. Who is that user already
    stays as he is: he could not change his groups, and need not.
    """
    if uid != 0 and os.getresuid() == (uid, uid, uid):
        return
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
