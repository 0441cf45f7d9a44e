"""What users/passwd keeps of a password so that SCRAM-SHA-256 can check it (RFC 7677)."""

from __future__ import annotations

from typing import Final

from pyqmail.errors import PermanentFailure
from pyqmail.login.passwords import ScramKeys

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
