"""Those who know passwords, in the order in which control/checkpassword names them."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.assign import find_owner
from pyqmail.control.cdb import CdbError
from pyqmail.control.files import ControlError, read_list, read_list_or_me
from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.control.roles import roles_of
from pyqmail.errors import TransientFailure
from pyqmail.login import passwords, shadow
from pyqmail.login.hashing import is_password_of
from pyqmail.message.address import split_address
from pyqmail.system.accounts import find_account, find_shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyqmail.control.assign import Assignment
    from pyqmail.login.passwords import Entry

USERS: Final = b"users"
SHADOW: Final = b"shadow"
PAM: Final = b"pam"
_PAM_SERVICE: Final = b"checkpassword"

# What a user without an account has for a shell: none that lets anybody in.
_NO_SHELL: Final = b"/bin/false"

# Answers of PAM that are about itself, not about the user; see pam(3).
_PAM_TROUBLE: Final = frozenset((1, 2, 3, 4, 5, 9, 26, 28))
_PAM_USER_UNKNOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Login:
    """Who has logged in: what a session of his runs as, where, and with which shell."""

    user: bytes
    uid: int
    gid: int
    home: bytes
    shell: bytes


class UnknownName(Exception):  # noqa: N818  it lets the next source be asked
    """This source does not know the name."""


def find_login(home: str, name: bytes, password: bytes, timestamp: bytes = b"") -> Login | None:
    """Return whose login `name` with `password` is; None if it is nobody's.

    Where the password itself is kept, APOP's digest of `timestamp` is as good (RFC 1939 §7).

    The first source that knows the name decides. Raises TransientFailure if
    a source cannot say. It may take a second: not for an event loop.
    """
    if not name or not password:
        return None
    for ask in read_sources(home, timestamp):
        try:
            return ask(name, password)
        except UnknownName:
            continue
    return None


def read_sources(
    home: str, timestamp: bytes = b""
) -> Iterator[Callable[[bytes, bytes], Login | None]]:
    """Yield the sources that control/checkpassword names. Raises ControlError.

    Without the file: users/passwd, then in a system home the accounts of the machine.
    """
    names = read_list(home, "checkpassword")
    if names is None:
        names = [USERS] if roles_of(home).private else [USERS, SHADOW]
    for line in names:
        source, _, service = line.partition(b" ")
        if source == USERS:
            yield lambda name, password: _ask_users(home, name, password, timestamp)
        elif source == SHADOW:
            yield _ask_shadow
        elif source == PAM:
            yield _pam(service.strip() or _PAM_SERVICE)
        else:
            raise ControlError("control/checkpassword", None, b"not a source: " + line)


# users/passwd


def _ask_users(home: str, name: bytes, password: bytes, timestamp: bytes) -> Login | None:
    entry = passwords.find_entry(home, name)
    if entry is None:
        raise UnknownName
    fits = _fits(entry, password) or _answers(entry, password, timestamp)
    return login_of(home, entry.name) if fits else None


def _fits(entry: Entry, password: bytes) -> bool:
    if entry.hashed is not None:
        return is_password_of(entry.hashed, password)
    return entry.secret is not None and hmac.compare_digest(entry.secret, password)


def _answers(entry: Entry, digest: bytes, timestamp: bytes) -> bool:
    if not timestamp or entry.secret is None:
        return False
    wanted = hashlib.md5(timestamp + entry.secret, usedforsecurity=False).hexdigest().encode()
    return hmac.compare_digest(wanted, digest)


def login_of(home: str, name: bytes) -> Login:
    """Return who `name` of users/passwd is, by users/cdb. Raises TransientFailure if nobody."""
    owner = owner_of(home, name)
    if owner is None:
        raise TransientFailure(name + b" is in users/passwd, but not in users/assign")
    return Login(name, owner.uid, owner.gid, owner.home, _NO_SHELL)


def owner_of(home: str, name: bytes) -> Assignment | None:
    """Return whose mail for `name` is, by users/cdb; None if it is nobody's who may log in."""
    local = _local_part(home, name)
    try:
        owner = None if local is None else find_owner(home, local)
    except CdbError as error:
        raise TransientFailure(b"users/cdb: " + error.text) from error
    return None if owner is None or owner.uid == 0 else owner


def _local_part(home: str, name: bytes) -> bytes | None:
    """Return the local part that mail for `name` is delivered to; None if it is not ours."""
    local, domain = split_address(name)
    if domain is None or domain in ConstantMap(read_list_or_me(home, "locals") or ()):
        return local
    prefixes = ColonMap(read_list(home, "virtualdomains") or ())
    for key in (name, domain, *_endings(domain), b""):
        prefix = prefixes.get(key)
        if prefix is not None:
            return prefix + b"-" + local if prefix else None
    return None


def _endings(domain: bytes) -> Iterator[bytes]:
    dot = domain.find(b".", 1)
    while dot >= 0:
        yield domain[dot:]
        dot = domain.find(b".", dot + 1)


# The accounts of the machine


def _ask_shadow(name: bytes, password: bytes) -> Login | None:
    login = _account_login(name)
    kept = shadow.find_password(os.fsdecode(name), int(time.time()))
    return login if is_password_of(kept, password) else None


def _account_login(name: bytes) -> Login:
    text = os.fsdecode(name)
    account = find_account(text)
    if account is None:
        raise UnknownName
    shell = find_shell(text) or "/bin/sh"
    return Login(name, account.uid, account.gid, os.fsencode(account.home), os.fsencode(shell))


# PAM


def _pam(service: bytes) -> Callable[[bytes, bytes], Login | None]:
    def ask(name: bytes, password: bytes) -> Login | None:
        try:
            from pam import pam  # noqa: PLC0415  an extra that most do without
        except ImportError as error:
            raise TransientFailure(
                b"PAM needs the package python-pam: pip install python-pam"
            ) from error
        library = pam()
        fits = library.authenticate(name, password, service)
        if library.code in _PAM_TROUBLE:
            raise TransientFailure(b"PAM: " + str(library.reason).encode())
        if library.code == _PAM_USER_UNKNOWN:
            raise UnknownName
        return _account_login(name) if fits else None

    return ask
