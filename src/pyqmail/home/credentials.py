"""Passwords of users, set and taken away: users/passwd; qmail-passwd(5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure
from pyqmail.home import domains
from pyqmail.home.ownership import become_owner, require_home
from pyqmail.login.hashing import hash_password
from pyqmail.login.passwords import Entry, remove_entry, set_entry
from pyqmail.login.scram import make_keys
from pyqmail.login.sources import owner_of

if TYPE_CHECKING:
    from pyqmail.login.passwords import ScramKeys

# What checkpassword can be told, less room for a name and a timestamp; checkpassword(8).
MAX_PASSWORD: Final = 255  # bytes


def enter(home: str) -> None:
    """Become who may change users/passwd: the owner of a private home. Root's stays root's."""
    require_home(home)
    if roles_of(home).private:
        become_owner(home)


def set_password(home: str, name: bytes, password: bytes, *, scram: bool, plain: bool) -> None:
    """Let `name`, who must be a user, log in with `password` from now on.

    It is kept as a hash; with `scram` as what SCRAM-SHA-256 needs, too; with `plain`
    as it is, which CRAM-MD5 and APOP need.
    """
    _require_password(password)
    name = domains.normal_name(home, name).lower()
    if owner_of(home, name) is None:
        raise PermanentFailure(b"there is no user " + name)
    keys: ScramKeys | None = make_keys(password) if scram else None
    set_entry(home, Entry(name, hash_password(password), keys, password if plain else None))


def remove_password(home: str, name: bytes) -> bool:
    """Let nobody log in as `name` any more; say whether somebody could."""
    return remove_entry(home, domains.normal_name(home, name))


def _require_password(password: bytes) -> None:
    if not password:
        raise PermanentFailure(b"an empty password lets nobody in")
    if len(password) > MAX_PASSWORD:
        raise PermanentFailure(b"a password has at most %d bytes" % MAX_PASSWORD)
    if set(password) & set(b"\r\n\0"):
        raise PermanentFailure(b"a password cannot contain a line end or a NUL")
