"""What users/passwd keeps of a password so that SCRAM-SHA-256 can check it (RFC 7677)."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache
from typing import Final

from pyqmail.errors import PermanentFailure
from pyqmail.login.guesses import Guesses
from pyqmail.login.passwords import ScramKeys, find_entry

# RFC 7677 §4 wants 4096 at least. Whoever steals the file must do so much for each guess; so
# must the client at each login, a telephone in a third of a second.
ITERATIONS: Final = 100000


def make_keys(password: bytes) -> ScramKeys:
    """Return the keys of `password`. Raises PermanentFailure if SCRAM cannot say it."""
    from scramp import ScramMechanism  # noqa: PLC0415  it takes as long as all the rest

    try:
        text = password.decode()
        made = ScramMechanism("SCRAM-SHA-256").make_auth_info(text, iteration_count=ITERATIONS)
    except ValueError as error:
        raise PermanentFailure(b"SCRAM wants a password in UTF-8") from error
    salt, stored_key, server_key, iterations = made
    return ScramKeys(salt, stored_key, server_key, iterations)


def find_keys(home: str, login: bytes) -> ScramKeys:
    """Return what SCRAM-SHA-256 needs to know of a user. Raises ControlError.

    For one that is unknown, keys that no password fits, and always the same.
    """
    entry = find_entry(home, login)
    if entry is not None and entry.scram is not None:
        return entry.scram
    return _keys_of_nobody(Guesses(home).secret() or chance(), login)


@cache
def chance() -> bytes:
    """Return bytes that nobody can guess, the same in this process and those it forks later."""
    return secrets.token_bytes(16)


def _keys_of_nobody(secret: bytes, login: bytes) -> ScramKeys:
    def made(what: bytes, size: int) -> bytes:
        return hashlib.blake2b(login.lower(), digest_size=size, key=secret, person=what).digest()

    return ScramKeys(made(b"salt", 32), made(b"stored", 32), made(b"server", 32), ITERATIONS)
