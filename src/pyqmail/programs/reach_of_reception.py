"""What the servers that take mail need of the machine under tcpserver: qmail-smtpd and the others.

They read control files and ask qmail-queued. That is all, unless another qmail-queue stands
for ours: then they execute it, and nobody knows what it needs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pyqmail.control.launchers import is_ours
from pyqmail.control.roles import roles_of
from pyqmail.programs.run import home_of
from pyqmail.system.confinement import with_targets
from pyqmail.ucspi.enclosure import Needs

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROGRAM: Final = b"QMAILQUEUE"
# Rules that set one of these have us execute a program, or read another home.
_VARIABLES: Final = (_PROGRAM, b"QMAILHOME")


def needs_of_reception(environ: Mapping[bytes, bytes]) -> Needs | None:
    """Return what sessions need; None in a private home, where they may write the queue.

    `environ` is that of tcpserver.
    """
    home = home_of(environ)
    if _PROGRAM in environ or roles_of(home).private:
        return None
    return Needs(
        readable=(*with_targets(f"{home}/control"), *with_targets(f"{home}/users")),
        variables=_VARIABLES,
        suffice=partial(is_ours, home, "qmail-queue"),
    )
