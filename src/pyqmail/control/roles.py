"""Who does what in a home: the owner of the home's folder decides.

A home that root owns is a system home: every role is an account of its own.
control/accountprefix can name others than the usual ones, so that two system
homes of one machine need not trust each other. A home that anybody else owns
is a private home: every role is that owner.
"""

from __future__ import annotations

import os

from pyqmail.control.files import ControlError, read_line
from pyqmail.errors import TransientFailure
from pyqmail.system import errnos
from pyqmail.system.accounts import (
    Account,
    drop_to,
    find_account,
    find_account_of,
    find_group,
    groups_of,
)

ACCOUNT_PREFIX = "accountprefix"

# The accounts of a system home and the group of each; qmail's conf-users and conf-groups.
FAMILY = {
    "alias": "nofiles",
    "qmaild": "nofiles",
    "qmaill": "nofiles",
    "qmailp": "nofiles",
    "qmailq": "qmail",
    "qmailr": "qmail",
    "qmails": "qmail",
}
GROUPS = ("qmail", "nofiles")


class Roles:
    """The accounts of one home, each looked up when it is asked for.

    `owner` is who owns the folder of the home; `private` says that he is
    everything. A system home whose account is missing raises
    TransientFailure.
    """

    __slots__ = ("_prefix", "home", "owner", "private")

    def __init__(self, home: str, owner: Account) -> None:
        self.home = home
        self.owner = owner
        self.private = owner.uid != 0
        self._prefix: str | None = None

    @property
    def prefix(self) -> str:
        """What the names of accounts and groups begin with; nothing, as a rule."""
        if self._prefix is None:
            self._prefix = os.fsdecode(read_line(self.home, ACCOUNT_PREFIX) or b"")
        return self._prefix

    def role(self, name: str) -> Account:
        """Return the account of the role `name`, which stands in FAMILY, or is `root`."""
        if name == "root":
            return self.owner
        account: Account = getattr(self, name)
        return account

    @property
    def alias(self) -> Account:
        """Who receives mail for local parts that nobody has."""
        if self.private:
            folder = os.path.join(self.home, "alias")
            return Account("alias", self.owner.uid, self.owner.gid, folder)
        return self._account("alias")

    @property
    def qmaild(self) -> Account:
        """Who runs the network daemons."""
        return self._account("qmaild")

    @property
    def qmaill(self) -> Account:
        """Who writes the log."""
        return self._account("qmaill")

    @property
    def qmailp(self) -> Account:
        """Who reads the password database."""
        return self._account("qmailp")

    @property
    def qmailq(self) -> Account:
        """Who owns the queue."""
        return self._account("qmailq")

    @property
    def qmailr(self) -> Account:
        """Who speaks to other hosts."""
        return self._account("qmailr")

    @property
    def qmails(self) -> Account:
        """Who schedules deliveries."""
        return self._account("qmails")

    @property
    def qmail_group(self) -> int:
        """The group of the queue."""
        return self._group("qmail")

    @property
    def nofiles_group(self) -> int:
        """The group that owns no files."""
        return self._group("nofiles")

    def _account(self, name: str) -> Account:
        if self.private:
            return self.owner
        name = self.prefix + name
        account = find_account(name)
        if account is None:
            raise TransientFailure(b"unable to find user " + os.fsencode(name))
        return account

    def _group(self, name: str) -> int:
        if self.private:
            return self.owner.gid
        name = self.prefix + name
        gid = find_group(name)
        if gid is None:
            raise TransientFailure(b"unable to find group " + os.fsencode(name))
        return gid


def roles_of(home: str) -> Roles:
    """Return the roles of `home`; the folder must exist."""
    try:
        status = os.stat(home)
    except OSError as error:
        raise ControlError(home, None, errnos.error_text(error)) from error
    owner = find_account_of(status.st_uid)
    if owner is None:  # a container may run as a number that has no name
        owner = Account(str(status.st_uid), status.st_uid, status.st_gid, home)
    return Roles(home, owner)


def leave_root(home: str) -> Roles:
    """Return the roles of `home`; root in a private home has become its owner for good by then.

    What its owner put there, a link or a FIFO, must not be followed with
    root's rights. Everybody else stays who he is.
    """
    roles = roles_of(home)
    if roles.private and os.geteuid() == 0:
        drop_to(roles.owner.uid, roles.owner.gid, groups_of(roles.owner))
    return roles
