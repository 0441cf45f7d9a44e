"""Taking messages into the queue directory: from S1 to S4, in batches.

`FileIntake` is the `Intake` of store.py. It is used by qmail-queued for all
clients at once, and by whoever writes to the queue himself.

The order of the steps is the promise (docs/queue.md). For all messages of a batch:

1. name the message file by its inode number and write it (S2), write the
   envelope into intd/ (S3);
2. sync all these files, and the directories that gained a name;
3. link the envelopes into todo/ (S4) and sync todo/, once.

Only then anybody is told.

Where there is a journal, messages that memory holds are not synced: between the first step and
the last they go into the journal, durably, and it makes the files survive later (`journal`).
"""

from __future__ import annotations

import errno
import itertools
import os
import time

from pyqmail.message.trace import received_line
from pyqmail.queue import layout, outcome, trigger
from pyqmail.queue.envelope_file import encode_origin
from pyqmail.queue.journal_use import awaits_recovery
from pyqmail.queue.outcome import QueueFailure
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final

    from pyqmail.control.roles import Roles
    from pyqmail.queue.journal import Journal

    SyncAll = Callable[[Sequence[int], Iterable[str]], None]

# Bytes of a message, and of an envelope, that are kept in memory before a
# file is made. Most messages are smaller, so most clients that go away
# half-way never touched the disk.
SPILL_SIZE: Final = 65536

_MAX_NAMES: Final = 9  # names tried in pid/ before giving up, as qmail-queue does

_sequence = itertools.count(1)  # makes names in pid/ differ within this process


def invocation(uid: int, roles: Roles) -> bytes:
    """Return what the Received field says of the user who gave the message.

    In a private home all roles are one user, so his number says it.
    """
    if not roles.private:
        if uid == roles.alias.uid:
            return b"by alias"
        if uid == roles.qmaild.uid:
            return b"from network"
        if uid == roles.qmails.uid:
            return b"for bounce"
    return b"by uid %d" % uid


class _Spool:
    """A file being written: bytes in memory until they are many, then the rest on disk."""

    __slots__ = ("_pieces", "descriptor", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0
        self.descriptor = -1

    def spills(self, length: int) -> bool:
        return self.descriptor >= 0 or self.size + length > SPILL_SIZE

    def keep(self, data: bytes) -> None:
        self._pieces.append(data)
        self.size += len(data)

    def joined(self) -> bytes:
        """Return what memory holds."""
        self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    def flush(self) -> None:
        """Write what memory holds into the file, which is open now."""
        pieces, self._pieces = self._pieces, []
        if pieces:
            files.write(self.descriptor, b"".join(pieces))

    def close(self) -> None:
        self._pieces = []
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            try:  # noqa: SIM105  contextlib costs start-up time
                os.close(descriptor)
            except OSError:
                pass  # it is synced, or given up


class FileDraft:
    """A message on its way into the queue directory; see store.Draft."""

    __slots__ = ("_code", "_envelope", "_kept", "_message", "_names", "_queue", "number")

    def __init__(self, queue: str, origin: bytes) -> None:
        self._queue = queue
        self._message = _Spool()
        self._envelope = _Spool()
        self._envelope.keep(origin)
        self._names: list[str] = []  # made so far, to be removed in reverse
        self._code = outcome.WRITE_ERROR  # what a failure of the present step is called
        self._kept: tuple[bytes, bytes] | None = None
        self.number = 0

    def spills(self, length: int) -> bool:
        """Say whether `length` more bytes would reach the disk."""
        return self._message.spills(length) or self._envelope.spills(length)

    def write(self, data: bytes) -> None:
        """Take the next bytes of the message."""
        spilled = self._message.spills(len(data))
        self._message.keep(data)
        if spilled:
            self.attempt(self._write_message)

    def write_envelope(self, data: bytes) -> None:
        """Take the next bytes of the envelope; the message is complete."""
        spilled = self._envelope.spills(len(data))
        self._envelope.keep(data)
        if spilled:
            self.complete()

    def keep(self) -> None:
        """Remember message and envelope for `entry()`, if memory holds them."""
        if self._message.descriptor < 0 and self._envelope.descriptor < 0:
            self._kept = self._message.joined(), self._envelope.joined()

    def is_kept(self) -> bool:
        """Say whether `entry()` may be called."""
        return self._kept is not None

    def entry(self) -> tuple[int, bytes, bytes]:
        """Return number, message and envelope of a complete draft that was kept."""
        message, envelope = self._kept or (b"", b"")
        return self.number, message, envelope

    def complete(self) -> None:
        """Have all bytes so far in files: S3."""
        self.attempt(self._write_message)
        self.attempt(self._write_envelope)

    def descriptors(self) -> tuple[int, int]:
        """Return the open files to be synced."""
        return self._message.descriptor, self._envelope.descriptor

    def directories(self) -> tuple[str, str]:
        """Return the directories that gained a name."""
        return os.path.dirname(self._path(layout.message_path)), self._queue + "/intd"

    def link(self) -> None:
        """Commit: from S3 to S4. From here on the message is qmail-send's."""
        self.attempt(self._link)
        self._names = []
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._message.close()
        self._envelope.close()

    def abandon(self) -> None:
        """Take away every trace. What a broken disk keeps is cleaned up after 36 hours."""
        self.close()
        try:
            while self._names:
                # The message last, and only if the rest is gone: so what
                # stays is one of the states that qmail-send knows.
                files.discard(self._names.pop())
        except OSError:
            self._names = []

    def attempt(self, step: Callable[[], None]) -> None:
        """Take a step; if it fails, abandon the message and raise QueueFailure."""
        try:
            step()
        except (OSError, MemoryError) as error:
            self.abandon()
            out_of_memory = isinstance(error, MemoryError)
            raise QueueFailure(outcome.OUT_OF_MEMORY if out_of_memory else self._code) from error

    def _path(self, place: Callable[[int], str]) -> str:
        return f"{self._queue}/{place(self.number)}"

    def _write_message(self) -> None:
        if self._message.descriptor < 0:
            self._create_message()
        self._code = outcome.WRITE_ERROR
        self._message.flush()

    def _create_message(self) -> None:
        self._code = outcome.NO_PID_FILE
        pid_path = self._create_pid_file()
        # The inode number is the message number: the file system keeps it
        # unique among all files of mess/, and nobody needs a lock.
        self.number = os.fstat(self._message.descriptor).st_ino
        self._code = outcome.NO_MESSAGE_FILE
        self._make_room()
        path = self._path(layout.message_path)
        files.rename(pid_path, path)  # S2
        self._names = [path]

    def _create_pid_file(self) -> str:
        stem = f"{self._queue}/pid/{os.getpid()}.{int(time.time())}."
        for _ in range(_MAX_NAMES):
            path = stem + str(next(_sequence))
            try:
                self._message.descriptor = files.create_exclusively(path, layout.FILE_MODE)
            except FileExistsError:
                continue
            self._names = [path]
            return path
        raise FileExistsError(errno.EEXIST, stem)

    def _make_room(self) -> None:
        """Make sure that no other file bears our number.

        The number is ours alone, so whatever the envelope of this name says,
        its message is gone: a power cut brought back a name that was removed.
        qmail-send must not see it together with our message.
        """
        if os.path.lexists(self._path(layout.message_path)):
            # Not ours to remove: a queue that was copied without renumbering it.
            raise FileExistsError(errno.EEXIST, self._path(layout.message_path))
        for place in (layout.intent_path, layout.todo_path):
            path = self._path(place)
            if os.path.lexists(path):
                files.unlink(path)
                files.sync_directory(os.path.dirname(path))

    def _write_envelope(self) -> None:
        if self._envelope.descriptor < 0:
            self._code = outcome.NO_INTENT_FILE
            path = self._path(layout.intent_path)
            self._envelope.descriptor = files.create_exclusively(path, layout.FILE_MODE)  # S3
            self._names.append(path)
        self._code = outcome.WRITE_ERROR
        self._envelope.flush()

    def _link(self) -> None:
        self._code = outcome.NO_TODO_FILE
        files.link(self._path(layout.intent_path), self._path(layout.todo_path))  # S4


class FileIntake:
    """The way into the queue directory of one home.

    The process must be the owner of the queue, and its umask 033 or less. `sync_all` is
    `files.sync_all()`, or another way to do the same.
    """

    __slots__ = ("_journal", "_queue", "_roles", "_sync_all")

    def __init__(
        self,
        home: str,
        roles: Roles,
        sync_all: SyncAll = files.sync_all,
        journal: Journal | None = None,
    ) -> None:
        self._sync_all = sync_all
        self._queue = layout.queue_directory(home)
        self._roles = roles
        self._journal = journal

    def begin(self, uid: int, pid: int) -> FileDraft:
        """Open a draft that begins with the Received field of its invoker."""
        draft = FileDraft(self._queue, encode_origin(uid, pid))
        draft.write(received_line(pid, invocation(uid, self._roles), int(time.time())))
        return draft

    def accept(self, drafts: Sequence[FileDraft]) -> list[QueueFailure | None]:
        """Accept a batch; see store.Intake."""
        results = self.prepare(drafts)
        prepared = [draft for draft, failure in zip(drafts, results, strict=True) if not failure]
        published = iter(self.publish(prepared))
        return [failure or next(published) for failure in results]

    def prepare(self, drafts: Sequence[FileDraft]) -> list[QueueFailure | None]:
        """Take the first two steps; see store.Intake."""
        failures: dict[FileDraft, QueueFailure] = {}
        if self._journal is not None and self._journal.takes(len(drafts)):
            for draft in drafts:
                draft.keep()
        _step(FileDraft.complete, drafts, failures)
        synced = [draft for draft in drafts if not draft.is_kept()]
        self._sync_files(self._sync_all, synced, failures)
        return [failures.get(draft) for draft in drafts]

    def publish(self, drafts: Sequence[FileDraft]) -> list[QueueFailure | None]:
        """Take the last step; see store.Intake."""
        failures: dict[FileDraft, QueueFailure] = {}
        kept = [draft for draft in drafts if draft.is_kept()]
        synced = [draft for draft in drafts if not draft.is_kept()]
        journal = self._journal if kept else None
        if journal is not None and journal.append([draft.entry() for draft in kept]):
            try:
                _step(FileDraft.link, drafts, failures)
            finally:
                journal.published()
        else:
            # Another thread may be using the quicker way.
            self._sync_files(files.sync_all, kept, failures)
            _step(FileDraft.link, drafts, failures)
            synced = list(drafts)
        self._sync_todo(synced, failures)
        if drafts:
            trigger.pull(self._queue)
        return [failures.get(draft) for draft in drafts]

    @staticmethod
    def _sync_files(
        sync_all: SyncAll,
        drafts: Sequence[FileDraft],
        failures: dict[FileDraft, QueueFailure],
    ) -> None:
        written = [draft for draft in drafts if draft not in failures]
        if not written:
            return
        descriptors = [number for draft in written for number in draft.descriptors()]
        directories = sorted({path for draft in written for path in draft.directories()})
        try:
            sync_all(descriptors, directories)
        except OSError as error:
            # After a failed sync the kernel forgets what it could not write,
            # and a second one would succeed. So none of these files is kept.
            for draft in written:
                draft.abandon()
                failures[draft] = QueueFailure(outcome.WRITE_ERROR)
                failures[draft].__cause__ = error

    def _sync_todo(
        self, drafts: Sequence[FileDraft], failures: dict[FileDraft, QueueFailure]
    ) -> None:
        linked = [draft for draft in drafts if draft not in failures]
        if not linked:
            return
        try:
            files.sync_directory(self._queue + "/todo")
        except OSError as error:
            # The messages are qmail-send's now and may be on their way.
            # Removing them would take them out of its hands.
            for draft in linked:
                failures[draft] = QueueFailure(outcome.NO_TODO_FILE)
                failures[draft].__cause__ = error


def own_intake(home: str, roles: Roles) -> FileIntake:
    """Return the way in for one who writes himself, beside qmail-queued or without it.

    Raises QueueFailure where that must be started first: what it mends must meet no half message.
    """
    try:
        must_wait = awaits_recovery(layout.queue_directory(home))
    except OSError:
        must_wait = False  # he will hear why he cannot write
    if must_wait:
        raise QueueFailure(outcome.NO_QUEUE)
    return FileIntake(home, roles)


def _step(
    step: Callable[[FileDraft], None],
    drafts: Sequence[FileDraft],
    failures: dict[FileDraft, QueueFailure],
) -> None:
    """Take one step with each draft that has not failed."""
    for draft in drafts:
        if draft not in failures:
            try:
                step(draft)
            except QueueFailure as failure:
                failures[draft] = failure
