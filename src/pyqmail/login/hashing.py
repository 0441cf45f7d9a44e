"""Passwords as they are kept: argon2 for ours, whatever crypt(3) knows for the machine's.

The libraries are imported where they are needed: each takes as long as the
rest of checkpassword.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# Memory in KiB, passes, lanes: the least that OWASP's Password Storage Cheat Sheet asks for
# of argon2id, 40 ms of one core. The default of the library takes four times the memory, which
# many logins at once would multiply.
_MEMORY: Final = 19456
_PASSES: Final = 2
_LANES: Final = 1


def hash_password(password: bytes) -> bytes:
    """Return what users/passwd keeps of `password`."""
    return _hasher().hash(password).encode()


def is_password_of(hashed: bytes, password: bytes) -> bool:
    """Ask whether `hashed` was made of `password`; what is no hash was made of none.

    Takes its time, and megabytes of memory: not for an event loop.
    """
    if hashed.startswith(b"$argon2"):
        return _fits_argon2(hashed, password)
    return _fits_crypt(hashed, password)


def prepare() -> None:
    """Load what hashes, for a process that forks those who need it."""
    import argon2  # noqa: F401, PLC0415
    import crypt_r  # noqa: F401, PLC0415


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # noqa: PLC0415

    return PasswordHasher(_PASSES, _MEMORY, _LANES)


def _fits_argon2(hashed: bytes, password: bytes) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError  # noqa: PLC0415

    try:
        return _hasher().verify(hashed, password)
    except (Argon2Error, InvalidHashError):
        return False


def _fits_crypt(hashed: bytes, password: bytes) -> bool:
    if not hashed or hashed[:1] in b"*!":  # locked, or no password at all
        return False
    import crypt_r  # noqa: PLC0415

    try:
        # The C library hashes bytes; Python hands it text as UTF-8.
        made = crypt_r.crypt(password.decode("utf-8", "surrogateescape"), hashed.decode("ascii"))
    except (OSError, ValueError):  # a method that the library does not know; a NUL
        return False
    return made is not None and hmac.compare_digest(made.encode(), hashed)
