"""qmail-start - turn on mail delivery. See qmail-start(8).

Runs as root in a system home and gives each process its own user; in a private
home everything runs as the owner. Touches nothing itself but run/.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from pyqmail.control.roles import roles_of
from pyqmail.errors import TRANSIENT
from pyqmail.programs import qmail_clean, qmail_lspawn, qmail_queued, qmail_rspawn, qmail_send
from pyqmail.programs.run import call, complain, home_of, run
from pyqmail.send.starting import Starter
from pyqmail.system import confinement, errnos
from pyqmail.system.accounts import drop_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

DEFAULT_DELIVERY: Final = b"./Mailbox"
UMASK: Final = 0o077

# Imported before the first fork, so that all processes share the memory.
OURS: Final = {
    "qmail-send": qmail_send.send,
    "qmail-lspawn": qmail_lspawn.spawn,
    "qmail-rspawn": qmail_rspawn.spawn,
    "qmail-clean": qmail_clean.clean,
    "qmail-queued": qmail_queued.serve,
}


def main() -> NoReturn:
    """Run as the command `qmail-start`."""
    run("qmail-start", start)


def start(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Start all; the first argument is the default delivery, the others are the logger."""
    home = os.path.abspath(home_of(environ))
    environ = {**environ, b"QMAILHOME": os.fsencode(home)}
    roles = roles_of(home)
    os.chdir("/")
    os.umask(UMASK)
    if roles.private and os.geteuid() == 0:
        drop_to(roles.owner.uid, roles.owner.gid, [roles.owner.gid])

    confinement.why_no_landlock()  # its library is loaded once, too

    def call_ours(name: str, words: list[bytes]) -> int:
        return call(name, OURS[name], words, environ)

    sys.stdout.flush()
    try:
        Starter(home, roles, environ, call_ours).start(
            arguments[0] if arguments else DEFAULT_DELIVERY, list(arguments[1:])
        )
    except OSError as error:
        complain("qmail-start", errnos.error_text(error))
    return TRANSIENT
