"""Whose account the mail of a home's users lies with.

In a private home it is the owner. In a system home, where accounts of the
machine have their mail in their own homes, the users who are no accounts
share one that was made for them: its mail is nobody's who can log in to the machine.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure
from pyqmail.home.ownership import acting_as, become_owner, require_home
from pyqmail.system.accounts import find_account, find_account_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.system.accounts import Account

USUAL_ACCOUNT: Final = "vmail"

_OWN_FOLDER: Final = 0o700
# The network daemons of a system home look whether a user has a `.qmail` file for an
# extension; they need not see more.
_SHARED_FOLDER: Final = 0o711


@dataclass(frozen=True, slots=True)
class MailOwner:
    """An account that users' mail belongs to, and the folder that all of it is below."""

    account: Account
    base: str
    private: bool

    @property
    def folder_mode(self) -> int:
        """The mode of a user's folder."""
        return _OWN_FOLDER if self.private else _SHARED_FOLDER

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Have the rights of the account for a moment: what lies below `base` is its own."""
        with acting_as(self.account):
            yield


def enter(home: str, account: str | None) -> MailOwner:
    """Become who may change the users of `home`, and return who keeps their mail.

    That is the owner of a private home; root and `account` in a system home.
    Raises PermanentFailure.
    """
    require_home(home)
    os.umask(0o022)  # the modes of files and folders are as they are said
    if roles_of(home).private:
        if account is not None:
            raise PermanentFailure(
                b"in a private home all mail is the owner's: --account is for system homes"
            )
        return MailOwner(become_owner(home), home, private=True)
    if os.getuid() != 0:
        raise PermanentFailure(os.fsencode(f"{home} is a system home: run this as root"))
    name = account or USUAL_ACCOUNT
    return _owner_of_mail(name, find_account(name))


def _owner_of_mail(name: str, account: Account | None) -> MailOwner:
    if account is None:
        raise PermanentFailure(
            os.fsencode(
                f"there is no account {name} to keep the mail: make one with "
                f"useradd --system --create-home {name}, or name another with --account"
            )
        )
    if account.uid == 0:
        raise PermanentFailure(b"nothing is delivered as root: name another account with --account")
    if not os.path.isdir(account.home) or os.stat(account.home).st_uid != account.uid:
        raise PermanentFailure(
            os.fsencode(
                f"{account.home} is not the account {name}'s own: make it the home of {name}"
            )
        )
    return MailOwner(account, os.path.realpath(account.home), private=False)


def base_of(home: str, uid: int) -> str | None:
    """Return below which folder `uid` would keep mail for users of `home`; None if it cannot."""
    if roles_of(home).private:
        return home
    account = find_account_of(uid)
    return None if account is None or account.uid == 0 else os.path.realpath(account.home)
