"""qmail-send - deliver mail messages from the queue. See qmail-send(8).

Runs as qmails; touches info/, local/, remote/ and bounce/ of the queue, reads
mess/ and todo/. Its neighbours are on descriptors 0 to 6.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Final

from pyqmail.control.concurrency import both_are_ours, read_slot_width
from pyqmail.control.files import ControlError
from pyqmail.control.launchers import is_ours
from pyqmail.errors import SUCCESS, TRANSIENT, TransientFailure
from pyqmail.programs.run import home_of, run
from pyqmail.queue.cleanup import PipeCleaner
from pyqmail.queue.client import QueueClient
from pyqmail.queue.file_store import FileStore
from pyqmail.queue.journal_use import awaits_recovery
from pyqmail.queue.layout import queue_directory
from pyqmail.queue.store import StoreFailure
from pyqmail.send import configuration, log
from pyqmail.send.core import Core
from pyqmail.send.daemon import KEPT_FOR_LATER, Daemon, SharedCleaner, adopt_queue, write_log
from pyqmail.send.spawners import SpawnerPipes, read_greetings
from pyqmail.send.store_work import QueueNotStarted
from pyqmail.system import confinement
from pyqmail.system.loops import run_daemon
from pyqmail.system.processes import set_title
from pyqmail.system.syncing import Syncer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.queue.store import Channel
    from pyqmail.send.bounces import BounceMessage
    from pyqmail.send.store_work import Inject

# Descriptors; 0 is the log.
LOCAL_JOBS, LOCAL_REPORTS, REMOTE_JOBS, REMOTE_REPORTS, CLEAN_REQUESTS, CLEAN_ANSWERS = range(1, 7)
UMASK: Final = 0o077

# Seconds between two looks whether qmail-queued is ready after a power cut, and two log lines.
_LOOK_INTERVAL: Final = 0.125
_TELL_INTERVAL: Final = 60


def main() -> NoReturn:
    """Run as the command `qmail-send`."""
    run("qmail-send", send)


def send(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Schedule deliveries until TERM; what goes wrong is told to the log, not to descriptor 2."""
    set_title("qmail-send")
    try:
        return _send(os.path.abspath(home_of(environ)), environ)
    except _CannotStart as reason:
        write_log([reason.line])
    except Exception as error:  # noqa: BLE001  descriptor 2 is not for people here
        write_log([b"alert: unexpected " + log.safe(repr(error).encode())])
    return TRANSIENT


class _CannotStart(Exception):  # noqa: N818  the word of the log line
    def __init__(self, line: bytes) -> None:
        super().__init__(line)
        self.line = line


def _send(home: str, environ: Mapping[bytes, bytes]) -> int:
    # They mean the qmail-send that is to come; Daemon lets them through.
    signal.pthread_sigmask(signal.SIG_BLOCK, KEPT_FOR_LATER)
    _go_to(home, log.NO_HOME)
    try:
        routing = configuration.read_routing(home)
        bounce_settings = configuration.read_bounce_settings(home)
        spawners = _spawners(home)
        settings = configuration.read_settings(home)
    except ControlError as error:
        raise _CannotStart(log.NO_CONTROLS + b": " + error.text) from error
    _go_to(home + "/queue", log.NO_QUEUE)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(UMASK)
    _give_up_rights(home, environ)
    store = _take_charge(home)
    _await_recovery(home)
    slots = read_greetings(spawners)
    if slots is None:
        raise _CannotStart(log.NO_SPAWNER)
    core = Core(settings.within(slots), routing)
    adopt_queue(core, store)
    daemon = Daemon(core, store, spawners, lambda: configuration.reread_routing(home, core.routing))
    run_daemon(daemon.run(bounce_settings, _injector(environ)))
    return SUCCESS


def _give_up_rights(home: str, environ: Mapping[bytes, bytes]) -> None:
    """Let nothing give us rights again, unless another qmail-queue may need some for bounces."""
    confinement.forbid_core_dumps()
    if not environ.get(b"QMAILQUEUE") and is_ours(home, "qmail-queue"):
        confinement.forbid_new_privileges()


def _spawners(home: str) -> dict[Channel, SpawnerPipes]:
    local, remote = read_slot_width(home, "local"), read_slot_width(home, "remote")
    return {
        "local": SpawnerPipes("local", LOCAL_JOBS, LOCAL_REPORTS, local),
        "remote": SpawnerPipes(
            "remote",
            REMOTE_JOBS,
            REMOTE_REPORTS,
            remote,
            knows_wishes=both_are_ours(home, "remote"),
        ),
    }


def _take_charge(home: str) -> FileStore:
    """Return the queue, which is ours until we end."""
    cleaner = SharedCleaner(PipeCleaner(CLEAN_REQUESTS, CLEAN_ANSWERS))
    queue = queue_directory(home)
    syncer = Syncer([f"{queue}/{name}" for name in ("mess", "todo", "info", "local", "remote")])
    store = FileStore(home, cleaner, syncer.sync_all)
    try:
        if not store.take_charge():
            raise _CannotStart(log.RUNNING_ALREADY)
    except StoreFailure as failure:
        raise _CannotStart(log.NO_MUTEX) from failure
    return store


def _await_recovery(home: str) -> None:
    """Wait until qmail-queued has mended what the machine left when it went down."""
    waited = 0.0
    try:
        while awaits_recovery(queue_directory(home)):
            if waited == 0:
                write_log([log.AWAITS_RECOVERY])
            waited = (waited + _LOOK_INTERVAL) % _TELL_INTERVAL
            time.sleep(_LOOK_INTERVAL)
    except OSError as error:
        raise _CannotStart(log.NO_JOURNAL) from error


def _go_to(folder: str, refusal: bytes) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise _CannotStart(refusal) from error


def _injector(environ: Mapping[bytes, bytes]) -> Inject:
    """Return what queues a bounce: as every other client of the queue does."""

    def inject(bounce: BounceMessage) -> int:
        try:
            client = QueueClient(environ)
        except (TransientFailure, OSError) as error:
            raise QueueNotStarted(b"unable to start qmail-queue") from error
        try:
            for piece in bounce.pieces:
                client.write(piece)
        except OSError:
            client.fail()
            raise
        return client.commit(bounce.reverse_path, [bounce.forward_path])

    return inject
