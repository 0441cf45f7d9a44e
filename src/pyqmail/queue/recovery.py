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
from pyqmail.message.trace import invoker_of
from pyqmail.queue import journal, journal_use, layout
from pyqmail.queue.intake import FileDraft, FileIntake
from pyqmail.queue.outcome import NO_MESSAGE_FILE, QueueFailure
from pyqmail.system import files
from pyqmail.system.file_system import FileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
        previous = os.umask(0)  # qmail-send looks into it at the same time
        try:
            files.make_directory(f"{queue}/{name}", mode)
        finally:
            os.umask(previous)
    files.sync_directory(queue)  # who made it may have died before that


def _recover(queue: str, intake: FileIntake, complain: Callable[[str], None]) -> None:
    frames = journal.read_frames(queue)
    entries = _by_number(frames.values())
    recovery = _Recovery(queue, intake, entries)
    remembers = journal_use.kernel_remembers(queue, max(frames, default=0))
    try:
        if not remembers:
            recovery.restore(trusts_files=not journal_use.is_in_doubt(queue))
        _sync(queue, entries)
    except (OSError, QueueFailure):
        recovery.take_back()  # else each of many tries would leave another copy
        raise
    if not remembers:
        text = f"{len(entries)} messages in the journal, {recovery.made} made again as files"
        complain(f"recovered: {text}")
    journal.discard(queue)


def _by_number(frames: Iterable[Iterable[Entry]]) -> dict[int, list[Entry]]:
    """Return all entries of each number, the last at the end."""
    found: dict[int, list[Entry]] = {}
    for entry in itertools.chain.from_iterable(frames):
        found.setdefault(entry.number, []).append(entry)
    return found


def _sync(queue: str, numbers: Iterable[int]) -> None:
    """Have all files of these messages survive, and all names in the queue."""
    directories = [f"{queue}/{name}" for name in ("pid", "intd", "todo")]
    try:
        whole = FileSystem([*directories, layout.journal_directory(queue)])
    except OSError:  # it was moved to a file system that has no journal
        whole = None
    try:
        if whole is not None:
            whole.sync()
        else:
            _sync_each(queue, numbers)
            directories += [f"{queue}/mess/{part}" for part in range(layout.SPLIT)]
            files.sync_all([], directories)
    except OSError:
        journal_use.doubt(queue)
        raise
    finally:
        if whole is not None:
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
    def __init__(self, queue: str, intake: FileIntake, entries: dict[int, list[Entry]]) -> None:
        self._queue = queue
        self._intake = intake
        self._entries = entries
        self._taken: list[str] = []  # files in pid/ whose numbers others have
        self._numbers: list[int] = []  # new ones
        self.made = 0

    def restore(self, *, trusts_files: bool) -> None:
        """Have every message in the queue."""
        # All are looked at before any is made: a new one may get the number of another.
        last = [entries[-1] for entries in self._entries.values()]
        whole = {entry.number for entry in last if trusts_files and self._is_whole(entry)}
        lost = [entry for entry in last if entry.number not in whole]
        remains = {entry.number: self._remains(entry) for entry in lost}
        self.made = len(lost) + sum(self._complete(e) for e in last if e.number in whole)
        rest = iter(lost)
        while batch := list(itertools.islice(rest, _BATCH)):
            self._make(batch)
        for number in self._numbers:
            remains.pop(number, None)  # it has taken the place
        for path in itertools.chain.from_iterable(remains.values()):
            files.discard(path)

    def take_back(self) -> None:
        """Remove what was made; all of it is in the journal."""
        for number in self._numbers:
            for place in (layout.todo_path, layout.intent_path, layout.message_path):
                with suppress(OSError):
                    files.discard(self._path(place(number)))

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
        owners = self._entries[entry.number]
        found = self._read(message, max(len(owner.message) for owner in owners))
        if found is None or any(_is_part_of(found, owner.message) for owner in owners):
            return [self._path(name) for name in (todo, intent, message)]
        # Another message has the number, or had it before, or the files are in doubt.
        envelope = self._read(todo, len(entry.envelope))
        is_ours = envelope is not None and (
            envelope == entry.envelope or _is_part_of(envelope, entry.envelope)
        )
        is_its_own = invoker_of(found) == invoker_of(entry.message)
        return [self._path(todo)] if is_ours and not is_its_own else []

    def _make(self, entries: Iterable[Entry]) -> None:
        """Accept messages under new numbers, durably."""
        drafts: list[FileDraft] = []
        try:
            for entry in entries:
                drafts.append(self._draft(entry))  # noqa: PERF401  one may fail
            results = self._intake.accept(drafts)
            made = zip(drafts, results, strict=True)
            self._numbers += [draft.number for draft, failure in made if failure is None]
            for failure in filter(None, results):
                raise failure
        except (OSError, QueueFailure):
            for draft in drafts:
                draft.abandon()
            raise
        finally:
            while self._taken:
                files.discard(self._taken.pop())

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


def _is_part_of(found: bytes, message: bytes) -> bool:
    """Say whether `found` is what a power cut may leave of `message`: less, or zeros in it."""
    blocks = range(0, len(found), _SECTOR)
    return (
        found != message
        and len(found) <= len(message)
        and all(
            not found[start : start + _SECTOR].strip(b"\0")
            or message.startswith(found[start : start + _SECTOR], start)
            for start in blocks
        )
    )
