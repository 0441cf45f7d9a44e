"""qmail-getpw - whose mail a local part is by the password database. See qmail-getpw(8).

Runs as qmailp in a system home; reads the password database and looks at home
directories. In a private home everything is alias.
"""

from __future__ import annotations

import os

from pyqmail.control.roles import roles_of
from pyqmail.delivery.users import NoOwner, encode_owner, find_by_password
from pyqmail.errors import PERMANENT
from pyqmail.programs.run import home_of, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-getpw`."""
    run("qmail-getpw", tell_owner)


def tell_owner(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Write user, uid, gid, home, dash and extension of a local part, a NUL after each.

    Why there is none is said by the exit code alone: qmail-lspawn reads it.
    """
    if not arguments:
        return PERMANENT
    try:
        owner = find_by_password(arguments[0], roles_of(home_of(environ)))
    except NoOwner as failure:
        return failure.exit_code
    os.write(1, encode_owner(owner))
    return 0
