"""qmail-rspawn - schedule remote deliveries. See qmail-rspawn(8).

Runs as qmailr; uses the network, reads mess/ of the queue and writes lock/tcpto.
"""

from __future__ import annotations

import os
import resource
import shutil
from typing import TYPE_CHECKING, Final

from pyqmail.control.concurrency import read_concurrency, read_slot_width
from pyqmail.control.launchers import LAUNCHER
from pyqmail.control.roles import roles_of
from pyqmail.delivery.destinations import LIMIT
from pyqmail.delivery.remote import Delivery
from pyqmail.errors import SUCCESS, TRANSIENT
from pyqmail.programs.qmail_remote import make_deliverer
from pyqmail.programs.run import home_of, run
from pyqmail.protocol.spawn import slots_of_width
from pyqmail.queue.tcpto import clear_table
from pyqmail.send.gathering import Gathering
from pyqmail.send.remote_program import RemoteProgram, digest
from pyqmail.send.remote_spawner import RemoteSpawner
from pyqmail.send.shares import shares_of
from pyqmail.system import confinement
from pyqmail.system.confinement import Reach
from pyqmail.system.loops import run_daemon
from pyqmail.system.processes import set_title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.delivery.outcome import Outcome
    from pyqmail.delivery.remote import RemoteDeliverer
    from pyqmail.send.gathering import Batch
    from pyqmail.send.remote_spawner import Deliver

MIN_SLOTS: Final = 120  # qmail's conf-spawn
# Descriptors: of a delivery the message and the connection, or a pipe and the process; and of
# the rest connections that are kept and questions to the DNS.
EACH: Final = 4
OTHERS: Final = 200


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
    _allow_descriptors(slots)
    program = _foreign_program(environ)
    confinement.forbid_core_dumps()
    if program is None:  # a program of others may need rights of its own
        _confine(home)
        service = _deliver_ourselves(home, environ, owner, slots, width)
    else:
        remote = RemoteProgram(program, environ)
        service = RemoteSpawner(remote.deliver, Gathering(1), owner, slots, width).serve()
    run_daemon(service)
    return SUCCESS


def _confine(home: str) -> None:
    """Reach what deliveries need, and nothing else of the machine."""
    confinement.forbid_new_privileges()
    readable = (*confinement.with_targets(f"{home}/control"), f"{home}/queue/mess")
    confinement.confine(Reach(readable=readable, written=[f"{home}/queue/lock"]))


async def _deliver_ourselves(
    home: str, environ: Mapping[bytes, bytes], owner: int, slots: int, width: int
) -> None:
    """Deliver as our qmail-remote does, without a process for each delivery."""
    limit = min(LIMIT, shares_of(read_concurrency(home, "remote")).most)
    deliverer = make_deliverer(home, environ, limit)
    deliverer.keep_connections()

    await RemoteSpawner(delivering(deliverer), Gathering(), owner, slots, width).serve()
    deliverer.close()


def delivering(deliverer: RemoteDeliverer) -> Deliver:
    """Return what has `deliverer` deliver batches."""

    async def deliver(batch: Batch, message: int) -> list[bytes | None]:
        delivery = Delivery(
            batch.host, batch.reverse_path, batch.forward_paths, message, batch.wishes, batch.seal
        )
        outcome = await deliverer.deliver(delivery)
        batch.seal()
        return reports_of(outcome, len(batch.jobs))

    return deliver


def reports_of(outcome: Outcome, recipients: int) -> list[bytes | None]:
    """Return the report on each recipient; None: in another transaction, this one was full."""
    full = outcome.full
    return [None if n in full else digest(outcome.of_one(n)) for n in range(recipients)]


def _allow_descriptors(slots: int) -> None:
    """Have enough descriptors to use all slots, if the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = slots * EACH + OTHERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


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
