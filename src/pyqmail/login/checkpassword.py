"""The work of checkpassword(8): credentials on descriptor 3, then the program of the user."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from pyqmail.control.roles import leave_root
from pyqmail.errors import TRANSIENT, Failure
from pyqmail.login.session import REFUSED, enter
from pyqmail.login.trial import Verdict, attempt, counted_address
from pyqmail.protocol.checkpassword import MAX_SIZE, Malformed, TooLarge, parse_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MISUSED: Final = 2
DESCRIPTOR: Final = 3


def check(home: str, program: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Become `program` as the user whose credentials are right; else return an exit code.

    In a private home root becomes its owner first: whose else could its users be?
    """
    if not program:
        return MISUSED
    try:
        credentials = parse_credentials(_read_all())
        leave_root(home)
    except TooLarge:
        return REFUSED
    except Malformed:
        return MISUSED
    except (OSError, Failure):
        return TRANSIENT
    address = counted_address(environ)
    outcome = attempt(home, address, credentials.name, credentials.password, credentials.timestamp)
    time.sleep(outcome.wait)
    if outcome.login is None:
        return REFUSED if outcome.verdict is Verdict.REFUSED else TRANSIENT
    return enter(outcome.login, program, environ)


def _read_all() -> bytes:
    """Read to the end, or just more than may come; nobody else gets to see it."""
    data = b""
    while len(data) <= MAX_SIZE:
        piece = os.read(DESCRIPTOR, MAX_SIZE + 1 - len(data))
        if not piece:
            break
        data += piece
    os.close(DESCRIPTOR)
    return data
