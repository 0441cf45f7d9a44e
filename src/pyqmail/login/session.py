"""The session of who has logged in: a program, as that user for good; checkpassword(8)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TRANSIENT
from pyqmail.system.accounts import drop_to
from pyqmail.system.processes import execute_by_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyqmail.login.sources import Login

REFUSED: Final = 1


def enter(login: Login, program: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Become the user, and then the program; return an exit code if that cannot be.

    The user has one group: those that his account may have beside are not his by this
    password.
    """
    try:
        drop_to(login.uid, login.gid, [login.gid])
    except OSError:
        return REFUSED
    whose = {b"USER": login.user, b"HOME": login.home, b"SHELL": login.shell}
    try:
        os.chdir(login.home)
        execute_by_name(list(program), {**environ, **whose})
    except OSError:
        return TRANSIENT
