"""qmail-rspawn - schedule remote deliveries. See qmail-rspawn(8).

Runs as qmailr; uses the network, reads mess/ of the queue and writes lock/tcpto.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

from pyqmail.control.concurrency import read_concurrency, read_slot_width
from pyqmail.control.launchers import LAUNCHER
from pyqmail.control.roles import roles_of
from pyqmail.delivery.remote import Delivery
from pyqmail.errors import SUCCESS, TRANSIENT
from pyqmail.message.address import split_address
from pyqmail.programs.qmail_remote import make_deliverer
from pyqmail.programs.run import home_of, run
from pyqmail.protocol.spawn import slots_of_width
from pyqmail.queue.tcpto import clear_table
from pyqmail.send.remote_program import RemoteProgram, digest
from pyqmail.send.remote_spawner import RemoteSpawner
from pyqmail.system import confinement
from pyqmail.system.processes import set_title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.protocol.spawn import Job
    from pyqmail.send.remote_spawner import Deliver

# Names of hosts and servers, certificates, libraries, random numbers.
_OF_THE_MACHINE: Final = ("/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/usr")
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
    program = _foreign_program(environ)
    confinement.forbid_core_dumps()
    if program is None:  # a program of others may need rights of its own
        _confine(home)
    deliver = (
        in_process(home, environ) if program is None else RemoteProgram(program, environ).deliver
    )
    asyncio.run(RemoteSpawner(deliver, owner, slots, width).serve())
    return SUCCESS


def _confine(home: str) -> None:
    """Reach what deliveries need, and nothing else of the machine."""
    confinement.forbid_new_privileges()
    readable = [*_OF_THE_MACHINE, *sys.path, sys.base_prefix]
    readable += [f"{home}/control", f"{home}/queue/mess"]
    confinement.confine(readable, [f"{home}/queue/lock"])


def in_process(home: str, environ: Mapping[bytes, bytes]) -> Deliver:
    """Return what delivers as our qmail-remote does, without a process for each delivery."""
    deliverer = make_deliverer(home, environ)

    async def deliver(job: Job, message: int) -> bytes:
        host = split_address(job.forward_path)[1] or b""
        return digest(
            await deliverer.deliver(Delivery(host, job.reverse_path, [job.forward_path], message))
        )

    return deliver


def _foreign_program(environ: Mapping[bytes, bytes]) -> bytes | None:
    """Return what delivers in our place: QMAILREMOTE, else a qmail-remote of PATH that is not ours.

    None: ours does.
    """
    program = environ.get(b"QMAILREMOTE")
    if program is not None:
        return program
    path = os.fsdecode(environ.get(b"PATH", os.fsencode(os.defpath)))
    found = shutil.which("qmail-remote", path=path)
    if found is None:
        return None
    ours = os.path.islink(found) and os.path.basename(os.readlink(found)) == LAUNCHER
    return None if ours else b"qmail-remote"
