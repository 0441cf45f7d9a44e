"""qmail-rspawn - schedule remote deliveries. See qmail-rspawn(8).

Runs as qmailr; reads mess/ of the queue and writes lock/tcpto.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from pyqmail.control.concurrency import read_concurrency, read_slot_width
from pyqmail.control.roles import roles_of
from pyqmail.errors import SUCCESS, TRANSIENT
from pyqmail.programs.run import home_of, run
from pyqmail.protocol.spawn import slots_of_width
from pyqmail.queue.tcpto import clear_table
from pyqmail.send.remote_spawner import RemoteSpawner
from pyqmail.system.processes import set_title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

MIN_SLOTS: Final = 120  # qmail's conf-spawn


def main() -> NoReturn:
    """Run as the command `qmail-rspawn`."""
    run("qmail-rspawn", spawn)


def spawn(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Serve the jobs on descriptor 0."""
    home = os.path.abspath(home_of(environ))
    set_title("qmail-rspawn")
    try:
        os.chdir(os.path.join(home, "queue/mess"))
    except OSError:
        return TRANSIENT
    owner = roles_of(home).qmailq.uid
    clear_table(home)
    width = read_slot_width(home, "remote")
    slots = min(max(read_concurrency(home, "remote"), MIN_SLOTS), slots_of_width(width))
    RemoteSpawner(_remote_program(environ), environ, owner, slots, width).serve()
    return SUCCESS


def _remote_program(environ: Mapping[bytes, bytes]) -> bytes | None:
    """Return what delivers to other hosts: QMAILREMOTE, else the qmail-remote of PATH."""
    program = environ.get(b"QMAILREMOTE")
    if program is not None:
        return program
    path = os.fsdecode(environ.get(b"PATH", os.fsencode(os.defpath)))
    return b"qmail-remote" if shutil.which("qmail-remote", path=path) else None
