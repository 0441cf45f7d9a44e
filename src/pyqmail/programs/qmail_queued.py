"""qmail-queued - take messages into the queue for all others; see qmail-queued(8).

Runs as qmailq, and becomes it when root starts it; touches pid/, mess/, intd/
and todo/ of the queue, and run/.
"""

from __future__ import annotations

import os

from pyqmail.control.roles import roles_of
from pyqmail.programs.run import home_of, run
from pyqmail.queue.queued import run_queued
from pyqmail.system import confinement, files
from pyqmail.system.accounts import drop_to
from pyqmail.system.processes import set_title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-queued`."""
    run("qmail-queued", serve)


def serve(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Prepare run/, become the owner of the queue, and serve until TERM."""
    home = home_of(environ)
    set_title("qmail-queued")
    if os.geteuid() == 0:
        _become_owner(home)
    confinement.forbid_new_privileges()
    confinement.forbid_core_dumps()
    return run_queued(home)


def _become_owner(home: str) -> None:
    roles = roles_of(home)
    owner = roles.qmailq
    folder = home + "/run"
    if not os.path.isdir(folder):
        files.make_directory(folder, 0o755)
    files.change_owner(folder, owner.uid, roles.qmail_group)
    drop_to(owner.uid, roles.qmail_group, [roles.qmail_group])
