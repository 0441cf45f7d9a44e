"""qmail-queued: the one process that writes messages into the queue; qmail-queued(8).

It listens on run/queue.sock of its home. Connections are served on one event
loop (`connection`), descriptors that were handed over are read in threads
(`handed_over`), two threads commit (`committer`), and one keeps the `journal`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pyqmail.control.roles import roles_of
from pyqmail.errors import SUCCESS, TRANSIENT, TransientFailure
from pyqmail.queue import layout
from pyqmail.queue.committer import Committer
from pyqmail.queue.connection import Connection
from pyqmail.queue.frames import socket_path
from pyqmail.queue.handed_over import Readers
from pyqmail.queue.intake import FileIntake
from pyqmail.queue.journal import Journal
from pyqmail.queue.outcome import BUG, QueueFailure
from pyqmail.queue.recovery import recover
from pyqmail.queue.submission import UMASK
from pyqmail.system import files
from pyqmail.system.confinement import Reach, confine, with_targets
from pyqmail.system.descriptors import ShortPath, peer_of
from pyqmail.system.errnos import error_text
from pyqmail.system.locks import try_lock
from pyqmail.system.loops import run_daemon
from pyqmail.system.syncing import Syncer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyqmail.queue.store import Draft, Intake

MAX_CONNECTIONS: Final = 1000

# No user but root may have so many that others get none.
MAX_CONNECTIONS_OF_USER: Final = 500

# Bytes of messages in memory, all clients together. More is answered with
# "out of memory", which makes every client try again.
MAX_HELD: Final = 128 * 1024 * 1024

_DISK_THREADS: Final = 4  # for messages too large for memory

_BACKLOG: Final = 1024

_ACCEPTS_AT_ONCE: Final = 50  # new clients in one turn of the loop, so that others are served too

_PAUSE: Final = 1  # seconds without accepting when there is no descriptor left

_EXPIRY_INTERVAL: Final = 600  # seconds between two looks for messages older than a day

# errno values that mean: no room for another client at the moment.
_NO_ROOM: Final = frozenset({12, 23, 24, 105})  # ENOMEM ENFILE EMFILE ENOBUFS


class Server:
    """All clients, and what they share."""

    def __init__(self, intake: Intake, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self.intake = intake
        self.committer = Committer(intake, self._loop, complain)
        self.readers = Readers(intake, self._loop, complain)
        self._disk = ThreadPoolExecutor(_DISK_THREADS, "disk")
        self._listener = listener
        self._connections: set[Connection] = set()
        self._of_user: Counter[int] = Counter()
        self._held = 0
        self._number = os.getpid()
        self._stopping = asyncio.Event()

    async def serve(self) -> None:
        """Serve until TERM or INT; then finish what was submitted."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stopping.set)
        self._loop.add_reader(self._listener, self._accept)
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(_EXPIRY_INTERVAL):
                    await self._stopping.wait()
            except TimeoutError:
                for connection in list(self._connections):
                    connection.drop_expired()
        await self._stop()

    async def _stop(self) -> None:
        self._loop.remove_reader(self._listener)
        await self._loop.run_in_executor(None, self.committer.finish)
        await asyncio.sleep(0)  # the last answers come to their connections
        for connection in list(self._connections):
            connection.close()
        self._disk.shutdown()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                client, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._pause(error)
                return
            self._welcome(client)

    def _pause(self, error: OSError) -> None:
        """Accept nobody for a moment; those who are connected are served."""
        complain(f"unable to accept for now: {error_text(error).decode()}")
        self._loop.remove_reader(self._listener)
        self._loop.call_later(_PAUSE, self._go_on_accepting)

    def _go_on_accepting(self) -> None:
        if not self._stopping.is_set():
            self._loop.add_reader(self._listener, self._accept)

    def _welcome(self, client: socket.socket) -> None:
        client.settimeout(0)
        peer = peer_of(client)
        too_many = len(self._connections) >= MAX_CONNECTIONS or (
            peer.uid != 0 and self._of_user[peer.uid] >= MAX_CONNECTIONS_OF_USER
        )
        if too_many:
            client.close()
            return
        self._of_user[peer.uid] += 1
        self._connections.add(Connection(self, self._loop, client, peer))

    # What connections ask for.

    def forget(self, connection: Connection) -> None:
        """Take a connection that has hung up out of the count."""
        self._connections.discard(connection)
        self._of_user[connection.peer.uid] -= 1

    def next_number(self) -> int:
        """Return the qp number of a message that has no process of its own."""
        self._number += 1
        return self._number

    def hold(self, size: int) -> bool:
        """Count bytes that are to be kept in memory; False if that is too much."""
        if self._held + size > MAX_HELD:
            return False
        self._held += size
        return True

    def release(self, size: int) -> None:
        """Count bytes that are no longer in memory."""
        self._held -= size

    def at_disk(self, write: Callable[[bytes], None], data: bytes) -> asyncio.Future[None]:
        """Write in a thread that may wait for the disk."""
        return self._loop.run_in_executor(self._disk, write, data)

    def abandon(self, draft: Draft) -> None:
        """Forget a draft, in a thread if that reaches the disk."""
        if draft.spills(0):
            self._loop.run_in_executor(self._disk, draft.abandon)
        else:
            draft.abandon()

    def code_of(self, error: BaseException) -> int:
        """Return the exit code of qmail-queue for what went wrong at the disk."""
        if isinstance(error, QueueFailure):
            return error.code
        complain(f"unexpected {type(error).__name__} while writing: {error}")
        return BUG


def complain(text: str) -> None:
    """Write one line into the log."""
    os.write(2, f"qmail-queued: {text}\n".encode())


def run_queued(home: str) -> int:
    """Be qmail-queued until TERM; return its exit code. The caller is the owner of the queue."""
    os.umask(UMASK)
    _raise_limit()
    roles = roles_of(home)
    lock = _lock(home)
    recover(home, roles, complain)
    listener = _listen(home, 0o600 if roles.private else 0o666)
    queue = layout.queue_directory(home)
    # A message is renamed from pid/ into mess/, so there is no third file system.
    syncer = Syncer([f"{queue}/pid", f"{queue}/intd"])
    journal = _journal(queue)
    _confine(home)  # before there are threads
    try:
        with _kept(journal):
            intake = FileIntake(home, roles, syncer.sync_all, journal)
            run_daemon(_serve(intake, listener))
    finally:
        syncer.close()
        listener.close()
        files.discard(socket_path(home))
        os.close(lock)
    # The next start must make again what a failed checkpoint may have lost.
    return TRANSIENT if journal is not None and journal.needs_recovery else SUCCESS


def _journal(queue: str) -> Journal | None:
    try:
        return Journal(queue, complain, lambda: os.kill(os.getpid(), signal.SIGTERM))
    except OSError:
        return None  # where one call cannot make all files survive, each message is synced


@contextmanager
def _kept(journal: Journal | None) -> Iterator[None]:
    """Have a journal kept while this lasts, and empty in the end."""
    if journal is None:
        yield
        return
    keeper = threading.Thread(target=journal.keep, name="journal")
    keeper.start()
    try:
        yield
    finally:
        journal.end()
        keeper.join()
        journal.close()


async def _serve(intake: Intake, listener: socket.socket) -> None:
    await Server(intake, listener).serve()


def _confine(home: str) -> None:
    """Reach the folders of the queue that messages go through, and nothing else."""
    queue = layout.queue_directory(home)
    reach = Reach(
        readable=with_targets(f"{home}/control"),  # the names of accounts
        written=[f"{queue}/lock"],  # the trigger
        removed=[os.path.dirname(socket_path(home))],  # the socket, in the end
        filled=[f"{queue}/{name}" for name in ("pid", "mess", "intd", "todo", "journal")],
        network=False,
    )
    try:
        confine(reach)
    except OSError as error:
        complain(f"not confined: {error}")


def _raise_limit() -> None:
    """Have as many descriptors as we may: each message takes some."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _lock(home: str) -> int:
    """Make sure that we are the only one; the lock ends with the process."""
    path = os.path.dirname(socket_path(home)) + "/queue.lock"
    try:
        descriptor = files.open_to_append(path, 0o600)
    except OSError as error:
        text = f"unable to open {path}: {error_text(error).decode()}"
        raise TransientFailure(os.fsencode(text)) from error
    if not try_lock(descriptor):
        raise TransientFailure(os.fsencode(f"qmail-queued is already running in {home}"))
    return descriptor


def _listen(home: str, mode: int) -> socket.socket:
    path = socket_path(home)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        files.discard(path)  # left by one that was killed: we hold the lock
        with ShortPath(path) as short:
            listener.bind(short)
        files.change_mode(path, mode)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        text = f"unable to listen on {path}: {error_text(error).decode()}"
        raise TransientFailure(os.fsencode(text)) from error
    listener.settimeout(0)
    return listener
