"""The users of a home who are no accounts of the machine: folders, and lines in users/assign.

A user is called by a local part, or by a whole address in a virtual domain. The mail belongs
to who keeps it (`mail_owner`), below the folders home/ and domains/.

Each change is made in an order in which it can break off anywhere: what is there works,
and who makes the change once more completes it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import read_list
from pyqmail.control.maps import ColonMap
from pyqmail.errors import PermanentFailure
from pyqmail.home import assignments, domains
from pyqmail.home.hangup import tell_qmail_send
from pyqmail.home.mail_owner import base_of
from pyqmail.login.passwords import remove_entry
from pyqmail.mailbox.maildir import make_maildir
from pyqmail.message.address import split_address
from pyqmail.system import files
from pyqmail.system.accounts import find_account

if TYPE_CHECKING:
    from pyqmail.home.mail_owner import MailOwner

MAX_NAME: Final = 64  # bytes of a local part; RFC 5321 §4.5.3.1.1

_FOLDER_MODE: Final = 0o755
_INSTRUCTIONS: Final = b"./Maildir/\n"
_INSTRUCTIONS_MODE: Final = 0o600

# A slash or a leading dot would leave home/, a colon the line of users/assign; @ ends a local
# part. Capitals are refused because look-ups are in lower case: nobody shall wonder.
_FORBIDDEN: Final = frozenset(b'/:@"\\<>(),; ABCDEFGHIJKLMNOPQRSTUVWXYZ\x7f' + bytes(range(33)))


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has a mailbox in this home. `local` is what users/assign knows him by."""

    name: bytes
    local: bytes
    folder: str

    @property
    def domain(self) -> bytes | None:
        """The virtual domain he is in, if it is one."""
        return split_address(self.name)[1]


@dataclass(frozen=True, slots=True)
class Removal:
    """What is gone of a user."""

    user: User
    mail: bool
    domain: bool


def add_user(home: str, name: bytes, mail_owner: MailOwner) -> tuple[User, bool]:
    """Give `name` a folder with a Maildir, and mail for `name` and its extensions to it.

    Returns the user, and whether he is new: one who is there stays as he is, and what he
    lacks is made. A folder that is there already, from a user who was removed, is taken up
    again with all that is in it.
    """
    name = domains.normal_name(home, name)
    local, domain = split_address(name)
    _require_local_part(local)
    with assignments.changing(home):
        users = list_users(home)
        known = next((user for user in users if user.name == name), None)
        prefix = None if domain is None else domains.prefix_for(home, name)
        at_home = local if prefix is None else prefix + domains.BREAK + local
        user = User(name, at_home, _folder(mail_owner.base, name))
        if known is None:
            _require_room(home, user, users, mail_owner)
        else:
            _require_kept_there(known, user.folder)
        with mail_owner.acting():
            _make_folder(user.folder, mail_owner.base, mail_owner.folder_mode)
        _assign(home, user, known, mail_owner)
        if domain is not None and prefix is not None:
            domains.open_domain(home, domain, prefix, lambda: tell_qmail_send(home))
    return user, known is None


def remove_user(
    home: str,
    name: bytes,
    mail_owner: MailOwner,
    *,
    with_mail: bool = False,
    with_domain: bool = False,
) -> Removal:
    """Take the password of `name` away, and the lines in users/assign.

    `with_mail` deletes the folder, even that of a user who was removed before;
    `with_domain` closes the domain if nobody is left in it. Raises PermanentFailure if
    there is nothing to remove.
    """
    name = domains.normal_name(home, name)
    _require_local_part(split_address(name)[0])
    had_password = remove_entry(home, name)
    with assignments.changing(home):
        users = list_users(home)
        known = next((user for user in users if user.name == name), None)
        user = known or User(name, name, _folder(mail_owner.base, name))
        if known is not None:
            _require_kept_there(known, _folder(mail_owner.base, name))
            lines, end = assignments.read_lines(home)
            assignments.write_lines(home, _without(lines, known), end)
        mail = with_mail and _remove_folder(user.folder, mail_owner)
        last = not any(other.domain == user.domain for other in users if other != known)
        closed = with_domain and last and user.domain is not None
        if closed and user.domain is not None:
            closed = _close_domain(home, user.domain)
    if known is None and not (had_password or mail or closed):
        raise PermanentFailure(b"there is no user " + name)
    return Removal(user, mail, closed)


def list_users(home: str) -> list[User]:
    """Return the users in alphabetical order: exact lines of users/assign into our folders."""
    users = []
    bases: dict[bytes, str | None] = {}
    for line in assignments.read_lines(home)[0]:
        fields = line[1:].split(b":")
        if line[:1] != b"=" or not all(fields[:5]):
            continue
        local, name, uid, _, folder = fields[:5]
        if uid not in bases:
            bases[uid] = _base_of(home, uid)
        user = User(name, local, os.fsdecode(folder))
        if _is_ours(user, bases[uid]):
            users.append(user)
    return sorted(users, key=lambda user: user.name)


def _base_of(home: str, uid: bytes) -> str | None:
    try:
        return base_of(home, int(uid))
    except (ValueError, OverflowError):  # not a number, or nobody's
        return None


def _is_ours(user: User, base: str | None) -> bool:
    local, domain = split_address(user.name)
    known_by = local if domain is None else user.local[-len(local) - 1 :]
    expected = local if domain is None else domains.BREAK + local
    return base is not None and known_by == expected and user.folder == _folder(base, user.name)


def _folder(base: str, name: bytes) -> str:
    local, domain = split_address(name)
    above = ["home"] if domain is None else ["domains", os.fsdecode(domain)]
    return os.path.join(base, *above, os.fsdecode(local))


def _require_local_part(local: bytes) -> None:
    if not local or local.startswith(b".") or local.endswith(b".") or len(local) > MAX_NAME:
        raise PermanentFailure(b"not a name for a user: " + local)
    if any(byte in _FORBIDDEN for byte in local):
        raise PermanentFailure(
            b"not a name for a user: " + local + b": use lower-case letters, digits and -_.+"
        )


def _require_room(home: str, user: User, users: list[User], mail_owner: MailOwner) -> None:
    """Raise PermanentFailure if mail for `user` is somebody else's already."""
    for other in users:
        if other.domain != user.domain and _overlap(user.local, other.local):
            raise _no_room(user, b"the user " + other.name)
    for line in assignments.read_lines(home)[0]:
        if line.startswith(b"=" + user.local + b":"):
            raise _no_room(user, b"somebody else, by users/assign")
    account = user.local.removesuffix(domains.BREAK + split_address(user.name)[0])
    if not mail_owner.private and find_account(os.fsdecode(account)) is not None:
        raise _no_room(user, account + b", an account of this machine")


def _require_kept_there(user: User, folder: str) -> None:
    if user.folder != folder:
        raise PermanentFailure(
            b"the mail of "
            + user.name
            + os.fsencode(f" is in {user.folder}: ")
            + b"name the account that keeps it with --account"
        )


def _overlap(one: bytes, other: bytes) -> bool:
    """Is one the other, or an extension of it?"""
    return (one + domains.BREAK).startswith(other + domains.BREAK) or (
        other + domains.BREAK
    ).startswith(one + domains.BREAK)


def _no_room(user: User, whose: bytes) -> PermanentFailure:
    return PermanentFailure(b"mail for " + user.local + b" is that of " + whose)


def _make_folder(folder: str, base: str, mode: int) -> None:
    """Make the folder of a user and what is above it, each survives a power cut."""
    missing = []
    above = os.path.dirname(folder)
    while above != base and not os.path.isdir(above):
        missing.append(above)
        above = os.path.dirname(above)
    for path in reversed(missing):
        files.make_directory(path, _FOLDER_MODE)
        files.sync_directory(os.path.dirname(path))
    if not os.path.isdir(folder):
        files.make_directory(folder, mode)
    maildir = os.path.join(folder, "Maildir")
    if not os.path.isdir(maildir):
        make_maildir(maildir)
    instructions = os.path.join(folder, ".qmail")
    if not os.path.lexists(instructions):
        files.write_new_file(instructions, _INSTRUCTIONS, _INSTRUCTIONS_MODE)
    files.sync_directory(folder)
    files.sync_directory(os.path.dirname(folder))


def _remove_folder(folder: str, mail_owner: MailOwner) -> bool:
    """Delete a user's folder, and that of his domain if it is empty; say if there was one."""
    with mail_owner.acting():
        if not os.path.lexists(folder):
            return False
        shutil.rmtree(folder)
        above = os.path.dirname(folder)
        if os.path.dirname(above) == os.path.join(mail_owner.base, "domains"):
            with suppress(OSError):  # others are in it
                files.remove_directory(above)
    return True


def _assign(home: str, user: User, known: User | None, mail_owner: MailOwner) -> None:
    """Write the user's lines, in the place of other ones that he may have."""
    lines, end = assignments.read_lines(home)
    account = mail_owner.account
    own = assignments.lines_for(user.local, user.name, account.uid, account.gid, user.folder)
    if not all(line in lines for line in own):
        lines = own + (_without(lines, known) if known else lines)
    assignments.write_lines(home, lines, end)


def _without(lines: list[bytes], user: User) -> list[bytes]:
    folder = b":" + os.fsencode(user.folder) + b":"
    starts = b"=" + user.local + b":", b"+" + user.local + b"-:"
    return [line for line in lines if not (line.startswith(starts) and folder in line)]


def _close_domain(home: str, domain: bytes) -> bool:
    if domain not in ColonMap(read_list(home, "virtualdomains") or ()):
        return False
    domains.close_domain(home, domain, lambda: tell_qmail_send(home))
    return True
