"""The users of a private home: folders below home/, lines in users/assign.

They are no accounts of the machine; their mail belongs to the home's owner.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.assign import parse_assign
from pyqmail.control.cdb import write_cdb
from pyqmail.control.files import read_text
from pyqmail.errors import PermanentFailure
from pyqmail.mailbox.maildir import make_maildir
from pyqmail.system import files
from pyqmail.system.locks import lock_exclusively

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.system.accounts import Account

MAX_NAME: Final = 64  # bytes of a local part; RFC 5321 §4.5.3.1.1

_FOLDER_MODE: Final = 0o700
_INSTRUCTIONS: Final = b"./Maildir/\n"
_INSTRUCTIONS_MODE: Final = 0o600
_ASSIGN_MODE: Final = 0o644
_END: Final = b".\n"

# A slash or a leading dot would leave home/, a colon the line of users/assign; @ ends a local
# part. Capitals are refused because look-ups are in lower case: nobody shall wonder.
_FORBIDDEN: Final = frozenset(b'/:@"\\<>(),; ABCDEFGHIJKLMNOPQRSTUVWXYZ\x7f' + bytes(range(33)))


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has a mailbox in this home."""

    name: bytes
    folder: str


def add_user(home: str, name: bytes, owner: Account) -> User:
    """Give `name` a folder with a Maildir, and mail for `name` and `name-…` to it.

    A folder that is there already, from a user who was removed, is taken up
    again with all that is in it.
    """
    _require_name(name)
    user = User(name, os.path.join(home, "home", os.fsdecode(name)))
    with _changing(home):
        if any(known.name == name for known in list_users(home)):
            raise PermanentFailure(b"there is a user " + name + b" already")
        _make_folder(user.folder)
        lines, end = _read_assign(home)
        _write_assign(home, _lines_for(user, owner) + lines, end)
    return user


def remove_user(home: str, name: bytes, *, with_mail: bool = False) -> User:
    """Take `name` out of users/assign; delete its folder only if `with_mail`."""
    with _changing(home):
        user = next((user for user in list_users(home) if user.name == name), None)
        if user is None:
            raise PermanentFailure(b"there is no user " + name)
        lines, end = _read_assign(home)
        folder = _folder_field(user.folder)
        kept = [line for line in lines if not (_is_of(line, name) and folder in line)]
        _write_assign(home, kept, end)
        if with_mail and os.path.lexists(user.folder):
            shutil.rmtree(user.folder)
    return user


def list_users(home: str) -> list[User]:
    """Return the users in alphabetical order: exact lines of users/assign into home/."""
    below = os.fsencode(os.path.join(home, "home")) + b"/"
    users = []
    for line in _read_assign(home)[0]:
        name, *fields = line.split(b":")
        if line.startswith(b"=") and fields[3:] and fields[3] == below + name[1:]:
            users.append(User(name[1:], os.fsdecode(fields[3])))
    return sorted(users, key=lambda user: user.name)


def _require_name(name: bytes) -> None:
    if not name or name.startswith(b".") or name.endswith(b".") or len(name) > MAX_NAME:
        raise PermanentFailure(b"not a name for a user: " + name)
    if any(byte in _FORBIDDEN for byte in name):
        raise PermanentFailure(
            b"not a name for a user: " + name + b": use lower-case letters, digits and -_.+"
        )


def _make_folder(folder: str) -> None:
    if not os.path.isdir(folder):
        files.make_directory(folder, _FOLDER_MODE)
    maildir = os.path.join(folder, "Maildir")
    if not os.path.isdir(maildir):
        make_maildir(maildir)
    instructions = os.path.join(folder, ".qmail")
    if not os.path.lexists(instructions):
        files.write_new_file(instructions, _INSTRUCTIONS, _INSTRUCTIONS_MODE)
    files.sync_directory(folder)
    files.sync_directory(os.path.dirname(folder))


def _lines_for(user: User, owner: Account) -> list[bytes]:
    whose = b":%s:%d:%d:%s:" % (user.name, owner.uid, owner.gid, os.fsencode(user.folder))
    return [b"=" + user.name + whose + b"::", b"+" + user.name + b"-" + whose + b"-::"]


def _is_of(line: bytes, name: bytes) -> bool:
    return line.startswith((b"=" + name + b":", b"+" + name + b"-:"))


def _folder_field(folder: str) -> bytes:
    return b":" + os.fsencode(folder) + b":"


def _read_assign(home: str) -> tuple[list[bytes], bytes]:
    """Return the lines of users/assign before the last one, and that with what follows it."""
    text = read_text(home, "users/assign")
    if not text:
        return [], _END
    parse_assign(text)  # a broken file is not made worse
    lines = text.split(b"\n")
    end = next(number for number, line in enumerate(lines) if line.startswith(b"."))
    return lines[:end], b"\n".join(lines[end:])


def _write_assign(home: str, lines: list[bytes], end: bytes) -> None:
    text = b"".join(line + b"\n" for line in lines) + end
    files.replace_durably(os.path.join(home, "users/assign"), text, _ASSIGN_MODE)
    write_cdb(os.path.join(home, "users/cdb"), parse_assign(text))


@contextmanager
def _changing(home: str) -> Iterator[None]:
    """Keep two who change users at once apart: the second's file would lose the first's line."""
    folder = os.path.join(home, "users")
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        text = os.fsencode(f"there is no {folder}: run qmailctl setup")
        raise PermanentFailure(text) from error
    try:
        lock_exclusively(descriptor)
        yield
    finally:
        os.close(descriptor)
