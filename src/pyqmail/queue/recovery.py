"""After the machine went down: files of the queue made again from the journal.

qmail-queued calls `recover()` before it serves. Of the files of a message that was accepted
through the journal, and of names that were removed, the disk may have kept any, each on its own.
Nobody knows what happened to a message since: it may come twice, but never half,
and never to the recipients of another.

For the last message that had a number (an earlier one was gone when the number was used again):

- Its message file is whole: the number stays, and its envelope is put into `todo/` unless it is
  there. If it was settled, it is new again.
- It is not: the message gets a new number, as one that comes in now. Then what remains of it
  under the old number is removed, so that nobody takes it for a message. A record in `info/`
  has no part in this: `FileStore.settle()` makes sure of the message first.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TransientFailure
from pyqmail.queue import journal, journal_use, layout
from pyqmail.queue.intake import FileDraft, FileIntake
from pyqmail.queue.outcome import NO_MESSAGE_FILE, QueueFailure
from pyqmail.system import files
from pyqmail.system.file_system import FileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from pyqmail.control.roles import Roles
    from pyqmail.queue.intake import SyncAll
    from pyqmail.queue.journal_file import Entry

_BATCH: Final = 200  # messages made at once; each has two descriptors open

_SECTOR: Final = 512  # bytes that a disk writes all or not at all

_MAX_TAKEN: Final = 100  # numbers that others have, before giving up


def recover(
    home: str, roles: Roles, complain: Callable[[str], None], sync_all: SyncAll = files.sync_all
) -> None:
    """Have all that counts in the journal of `home` survive as files, and make it empty.

    The caller holds the lock of qmail-queued. Raises TransientFailure; then nothing is lost.
    """
    queue = layout.queue_directory(home)
    try:
        _make_folder(queue)
        if journal_use.is_used(queue):
            _recover(queue, FileIntake(home, roles, sync_all), complain)
    except (OSError, QueueFailure) as error:
        cause = error.__cause__ if isinstance(error, QueueFailure) else error
        # A file system that the power cut has damaged has errors that error_text() does not know.
        text = cause.strerror if isinstance(cause, OSError) else str(error)
        folder = layout.journal_directory(queue)
        raise TransientFailure(
            os.fsencode(f"unable to recover messages from {folder}: {text}")
        ) from error


def _make_folder(queue: str) -> None:
    """Make the folder in a queue that an older version, or a qmail, made."""
    name, _, mode = layout.JOURNAL_ENTRY
    if not os.path.isdir(f"{queue}/{name}"):
        files.make_directory(f"{queue}/{name}", mode)
    files.sync_directory(queue)  # who made it may have died before that


def _recover(queue: str, intake: FileIntake, complain: Callable[[str], None]) -> None:
    frames = journal.read_frames(queue)
    entries = {entry.number: entry for frame in frames.values() for entry in frame}
    if not journal_use.kernel_remembers(queue, max(frames, default=0)):
        made = _Recovery(queue, intake).restore(entries.values())
        complain(f"recovered: {len(entries)} messages in the journal, {made} made again as files")
    _sync(queue, entries)
    journal.discard(queue)


def _sync(queue: str, numbers: Iterable[int]) -> None:
    """Have all files of these messages survive, and all names in the queue."""
    directories = [f"{queue}/{name}" for name in ("pid", "intd", "todo")]
    try:
        whole = FileSystem([*directories, layout.journal_directory(queue)])
    except OSError:  # it was moved to a file system that has no journal
        _sync_each(queue, numbers)
        directories += [f"{queue}/mess/{part}" for part in range(layout.SPLIT)]
        files.sync_all([], directories)
        return
    try:
        whole.sync()
    finally:
        whole.close()


def _sync_each(queue: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        for name in (layout.message_path(number), layout.todo_path(number)):
            with suppress(FileNotFoundError):
                descriptor = files.open_to_read(f"{queue}/{name}")
                try:
                    files.sync(descriptor)
                finally:
                    os.close(descriptor)


class _Recovery:
    def __init__(self, queue: str, intake: FileIntake) -> None:
        self._queue = queue
        self._intake = intake
        self._taken: list[str] = []  # files in pid/ whose numbers others have

    def restore(self, entries: Collection[Entry]) -> int:
        """Have every message in the queue; return how many had to be made."""
        # All are looked at before any is made: a new one may get the number of another.
        lost = [entry for entry in entries if not self._is_whole(entry)]
        remains = {entry.number: self._remains(entry) for entry in lost}
        made = sum([self._complete(entry) for entry in entries if entry.number not in remains])
        rest = iter(lost)
        while batch := list(itertools.islice(rest, _BATCH)):
            for number in self._make(batch):
                remains.pop(number, None)  # it has taken the place
        for path in itertools.chain.from_iterable(remains.values()):
            files.discard(path)
        return made + len(lost)

    def _is_whole(self, entry: Entry) -> bool:
        found = self._read(layout.message_path(entry.number), len(entry.message))
        return found == entry.message

    def _complete(self, entry: Entry) -> bool:
        """Put the envelope of a message that is whole where qmail-send looks; say if it was not."""
        todo, intent = layout.todo_path(entry.number), layout.intent_path(entry.number)
        if self._read(todo, len(entry.envelope)) == entry.envelope:
            return False
        for name in (todo, intent):
            files.discard(self._path(name))
        files.write_new_file(self._path(intent), entry.envelope, layout.FILE_MODE)
        files.link(self._path(intent), self._path(todo))
        return True

    def _remains(self, entry: Entry) -> list[str]:
        """Return what is left of a message that is not whole, in the order of removal."""
        todo, intent = layout.todo_path(entry.number), layout.intent_path(entry.number)
        message = layout.message_path(entry.number)
        found = self._read(message, len(entry.message))
        if found is None or _is_left_of(found, entry.message):
            return [self._path(name) for name in (todo, intent, message)]
        # Another message has the number, or had it before. Our recipients must not get that.
        envelope = self._read(todo, len(entry.envelope))
        is_ours = envelope is not None and _is_left_of(envelope, entry.envelope)
        return [self._path(todo)] if is_ours else []

    def _make(self, entries: Iterable[Entry]) -> list[int]:
        """Accept messages under new numbers, durably; return these."""
        drafts: list[FileDraft] = []
        try:
            for entry in entries:
                drafts.append(self._draft(entry))  # noqa: PERF401  one may fail
            for failure in self._intake.accept(drafts):
                if failure is not None:
                    raise failure
        except (OSError, QueueFailure):
            for draft in drafts:
                draft.abandon()
            raise
        finally:
            while self._taken:
                files.discard(self._taken.pop())
        return [draft.number for draft in drafts]

    def _draft(self, entry: Entry) -> FileDraft:
        """Write the files of a message under a number that nobody has."""
        while True:
            draft = FileDraft(self._queue, entry.envelope)
            draft.write(entry.message)
            try:
                draft.complete()
            except QueueFailure as failure:
                if failure.code != NO_MESSAGE_FILE or len(self._taken) >= _MAX_TAKEN:
                    raise
                self._take_number()
            else:
                return draft

    def _take_number(self) -> None:
        """Make a file, so that the next one has another number."""
        path = f"{self._queue}/pid/{os.getpid()}.recovery.{len(self._taken)}"
        files.discard(path)
        os.close(files.create_exclusively(path, layout.PRIVATE_MODE))
        self._taken.append(path)

    def _read(self, name: str, most: int) -> bytes | None:
        """Return what a file holds, and one byte beyond `most` if there are more."""
        try:
            descriptor = files.open_to_read(self._path(name))
        except FileNotFoundError:
            return None
        with open(descriptor, "rb", buffering=0) as file:
            return file.read(most + 1)

    def _path(self, name: str) -> str:
        return f"{self._queue}/{name}"


def _is_left_of(found: bytes, message: bytes) -> bool:
    """Say whether `found` is what a power cut may leave of `message`: less, or zeros in it."""
    blocks = range(0, len(found), _SECTOR)
    return len(found) <= len(message) and all(
        not found[start : start + _SECTOR].strip(b"\0")
        or message.startswith(found[start : start + _SECTOR], start)
        for start in blocks
    )
