"""Which SASL mechanisms to offer: those that work for everybody who may log in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError, read_list
from pyqmail.control.roles import roles_of
from pyqmail.login import passwords
from pyqmail.login.sources import USERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyqmail.login.passwords import Entry

# They hand the password over, so any store can check it.
WITH_PASSWORD: Final = (b"PLAIN", b"LOGIN")

# What was found in users/passwd, and of which state of the file: it is read when it changes.
_known: dict[str, tuple[tuple[int, int, int], tuple[bytes, ...]]] = {}


def mechanisms(home: str) -> tuple[bytes, ...]:
    """Return the mechanisms that our own checkpassword can answer for, the best first.

    A client takes the best that is offered and does not try another: so one that
    works for some users only must not be offered to any.
    """
    try:
        names = read_list(home, "checkpassword")
        if names is None:
            names = [USERS] if roles_of(home).private else []
        if names != [USERS]:
            return WITH_PASSWORD
        return _without_password(home) + WITH_PASSWORD
    except (ControlError, OSError):
        return WITH_PASSWORD  # a login will say what is wrong


def _without_password(home: str) -> tuple[bytes, ...]:
    status = os.stat(os.path.join(home, passwords.PATH))
    state = status.st_mtime_ns, status.st_size, status.st_ino
    known = _known.get(home)
    if known is None or known[0] != state:
        known = _known[home] = state, _able(passwords.entries(home))
    return known[1]


def _able(entries: Iterable[Entry]) -> tuple[bytes, ...]:
    scram, cram = [], []
    for entry in entries:
        scram.append(entry.scram is not None)
        cram.append(entry.secret is not None)
    able = (b"SCRAM-SHA-256",) if scram and all(scram) else ()
    return (*able, b"CRAM-MD5") if cram and all(cram) else able
