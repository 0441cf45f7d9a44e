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
    """Become the user, and then the program; return an exit code if that cannot be."""
    try:
        if os.path.basename(program[0]) == _REPLY:
            whose = {**_variables(login, environ), **_told_to_dovecot(login)}
        else:
            whose = become_user(login, environ)
    except PermissionError:
        return REFUSED
    except OSError:
        return TRANSIENT
    try:
        execute_by_name(list(program), whose)
    except OSError:
        return TRANSIENT


def become_user(login: Login, environ: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Become the user for good, in his home folder; return the variables of his session.

    The user has one group: those that his account may have beside are not his by this
    password. Raises PermissionError if we may not become him, another OSError
    if there is no such folder.
    """
    try:
        drop_to(login.uid, login.gid, [login.gid])
    except OSError as error:
        raise PermissionError from error
    try:
        os.chdir(login.home)
    except OSError as error:
        raise FileNotFoundError(login.home) from error
    return _variables(login, environ)


def _variables(login: Login, environ: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {**environ, b"USER": login.user, b"HOME": login.home, b"SHELL": login.shell}


def _told_to_dovecot(login: Login) -> dict[bytes, bytes]:
    ids = {b"userdb_uid": b"%d" % login.uid, b"userdb_gid": b"%d" % login.gid}
    return {**ids, b"EXTRA": b" ".join(ids)}
