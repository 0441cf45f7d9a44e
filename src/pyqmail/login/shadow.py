"""The machine's own passwords: /etc/shadow, else what the password database has; shadow(5)."""

from __future__ import annotations

import os
import pwd
from typing import Final

from pyqmail.errors import TransientFailure
from pyqmail.system import files

PATH: Final = "/etc/shadow"
_HASH, _EXPIRY = 1, 7  # numbers of fields
_DAY: Final = 86400  # seconds
_SHADOWED: Final = b"x"  # in the place of a password that stands in the shadow file


def find_password(name: str, now: int, path: str = PATH) -> bytes:
    """Return what the machine keeps of the password of account `name`.

    Empty if nobody can log in as it: there is none, or the account is
    expired. Raises TransientFailure if we may not know.
    """
    line = _line_of(os.fsencode(name) + b":", path)
    if line is None:
        kept = os.fsencode(pwd.getpwnam(name).pw_passwd)
        return b"" if kept == _SHADOWED else kept
    fields = line.split(b":")
    expiry = fields[_EXPIRY] if len(fields) > _EXPIRY else b""
    expired = expiry.isdigit() and now >= int(expiry) * _DAY
    return b"" if expired else fields[_HASH]


def _line_of(start: bytes, path: str) -> bytes | None:
    try:
        text = files.read_all(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TransientFailure(b"unable to read " + os.fsencode(path)) from error
    return next((line for line in text.split(b"\n") if line.startswith(start)), None)
