"""From the password file to users/assign, as users/include and its neighbours want it.

The password file is the machine's, or what is left of it after a site's own
filter; nothing here looks an account up.
"""

from __future__ import annotations

import os

from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.errors import TransientFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ALIAS: Final = b"alias"
_FIELDS_BEFORE_SHELL: Final = 6
_SUBUSER_FIELDS: Final = 3

# What becomes of an account whose home is missing. One that belongs to somebody else is
# skipped by the first two.
SKIP_MISSING, STOP_AT_MISSING, HOMES_UNSEEN = range(3)


class Choices:
    """What decides which accounts get lines, and which lines. The original's defaults.

    `break_character` separates a user from an extension; empty: no
    extensions. `included`, `excluded` and `mail_names` are None where the
    file is absent.
    """

    def __init__(self) -> None:
        self.dash = b"-"
        self.break_character = b"-"
        self.upper_case = False
        self.homes = SKIP_MISSING
        self.included: ConstantMap | None = None
        self.excluded: ConstantMap | None = None
        self.mail_names: ColonMap | None = None


class AssignmentWriter:
    """Feed it the lines of the password file, then those of users/subusers; it returns text.

    `found_alias` says whether the account that receives everybody else's
    mail was among them.
    """

    def __init__(self, choices: Choices) -> None:
        self.found_alias = False
        self._choices = choices
        self._accounts: list[bytes] = []
        self._known: ColonMap | None = None

    def account(self, line: bytes) -> bytes:
        """Return the lines for one line of the password file, without its newline."""
        fields = line.split(b":")
        if b"\0" in line or len(fields) <= _FIELDS_BEFORE_SHELL:
            return b""
        user, _, uid, gid, _, home = fields[:_FIELDS_BEFORE_SHELL]
        if not self._is_chosen(user) or not _receives_mail(self._choices.homes, uid, home):
            return b""
        owner = b":" + b":".join((user, uid, gid, home)) + b":"
        self._accounts.append(user + b":" + owner)
        names = _names_of(user, self._choices.mail_names)
        text = b"".join(self._lines(name, owner, b"::\n", b":\n") for name in names)
        if user != ALIAS:
            return text
        self.found_alias = True
        return b"+" + owner + self._choices.dash + b"::\n" + text

    def subuser(self, line: bytes) -> bytes:
        """Return the lines for one line SUB:USER:PRE: of users/subusers."""
        fields = line.split(b":")
        if len(fields) <= _SUBUSER_FIELDS:
            return b""
        sub, user, pre = fields[:_SUBUSER_FIELDS]
        if self._known is None:
            self._known = ColonMap(self._accounts)
        owner = self._known.get(user)
        if owner is None:
            raise TransientFailure(b"unable to find " + user + b" user for subuser")
        exact = self._choices.dash + b":" + pre + b":\n"
        return self._lines(sub, owner, exact, pre + b"-:\n")

    def _lines(self, name: bytes, owner: bytes, exact: bytes, prefix: bytes) -> bytes:
        text = b"=" + name + owner + exact
        if self._choices.break_character:
            start = b"+" + name + self._choices.break_character
            text += start + owner + self._choices.dash + b":" + prefix
        return text

    def _is_chosen(self, user: bytes) -> bool:
        choices = self._choices
        if not choices.upper_case and user != user.lower():
            return False
        if choices.included is not None and user not in choices.included:
            return False
        return choices.excluded is None or user not in choices.excluded


def _names_of(user: bytes, mail_names: ColonMap | None) -> list[bytes]:
    names = mail_names.get(user) if mail_names is not None else None
    return [name for name in (user if names is None else names).split(b":") if name]


def _receives_mail(homes: int, uid_text: bytes, home: bytes) -> bool:
    """Return whether the account is not root and, unless homes stay unseen, owns its home."""
    uid = int(uid_text[: len(uid_text) - len(uid_text.lstrip(b"0123456789"))][:20] or b"0")
    if uid == 0:
        return False
    if homes == HOMES_UNSEEN:
        return True
    try:
        return os.stat(home).st_uid == uid
    except FileNotFoundError:
        if homes == SKIP_MISSING:
            return False
        raise TransientFailure(b"unable to stat " + home) from None
    except OSError as error:
        raise TransientFailure(b"unable to stat " + home) from error
