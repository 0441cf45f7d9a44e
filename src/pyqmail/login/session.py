"""The session of who has logged in: a program, as that user for good; checkpassword(8).

Dovecot is told instead whose session it is: its checkpassword-reply answers to a process that
starts sessions itself, and whoever could trace it could log in as anybody. So it must not run
as the user.
"""

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

# The one program of Dovecot's that is started by a checkpassword.
_REPLY: Final = b"checkpassword-reply"


def enter(login: Login, program: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Become the user, and then the program; return an exit code if that cannot be.

    The user has one group: those that his account may have beside are not his by this
    password.
    """
    whose = {b"USER": login.user, b"HOME": login.home, b"SHELL": login.shell}
    variables = {**environ, **whose}
    try:
        if os.path.basename(program[0]) == _REPLY:
            execute_by_name(list(program), variables | _told_to_dovecot(login))
        if not _become(login):
            return REFUSED
        os.chdir(login.home)
        execute_by_name(list(program), variables)
    except OSError:
        return TRANSIENT


def _become(login: Login) -> bool:
    try:
        drop_to(login.uid, login.gid, [login.gid])
    except OSError:
        return False
    return True


def _told_to_dovecot(login: Login) -> dict[bytes, bytes]:
    ids = {b"userdb_uid": b"%d" % login.uid, b"userdb_gid": b"%d" % login.gid}
    return {**ids, b"EXTRA": b" ".join(ids)}
