"""qmail-lspawn - schedule local deliveries. See qmail-lspawn(8).

Runs as root in a system home, and forks workers that run as the recipients;
in a private home everything runs as the owner. Reads users/cdb and the
messages of the queue.
"""

from __future__ import annotations

import os

from pyqmail.control.concurrency import read_concurrency, read_slot_width
from pyqmail.control.roles import roles_of
from pyqmail.delivery.spawner import Spawner
from pyqmail.errors import PERMANENT, SUCCESS, TRANSIENT
from pyqmail.programs.run import home_of, run
from pyqmail.protocol.spawn import slots_of_width
from pyqmail.system.accounts import drop_to
from pyqmail.system.processes import set_title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final, NoReturn

MIN_SLOTS: Final = 120  # qmail's conf-spawn


def main() -> NoReturn:
    """Run as the command `qmail-lspawn`."""
    run("qmail-lspawn", spawn)


def spawn(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Serve the jobs on descriptor 0; the first argument is the default delivery."""
    home = os.path.abspath(home_of(environ))
    try:
        os.chdir(os.path.join(home, "queue/mess"))
    except OSError:
        return TRANSIENT
    if not arguments:
        return PERMANENT
    roles = roles_of(home)
    if roles.private and os.geteuid() == 0:
        # Root's rights end here: nothing in a private home is root's business.
        drop_to(roles.owner.uid, roles.owner.gid, [roles.owner.gid])
    width = read_slot_width(home, "local")
    slots = min(max(read_concurrency(home, "local"), MIN_SLOTS), slots_of_width(width))
    set_title(f"qmail-lspawn {os.fsdecode(arguments[0])}")
    Spawner(home, roles, arguments[0], slots, width).serve()
    return SUCCESS
