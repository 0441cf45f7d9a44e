"""What was accepted and does not yet survive as files: the journal of qmail-queued.

A message is written into its files without syncing them, and into the journal, where one sync
serves a batch. A checkpoint later makes all files survive in one call, and empties the
segment that they stood in. After a power cut `recovery` makes the files again from what counts
in the journal; see docs/queue.md and docs/decisions/0046.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.queue import journal_use, layout
from pyqmail.queue.journal_file import (
    SEGMENT_SIZE,
    Segment,
    frame_size,
    make_segment,
    parse_segment,
)
from pyqmail.queue.journal_use import Use
from pyqmail.system import files
from pyqmail.system.errnos import error_text
from pyqmail.system.file_system import FileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyqmail.queue.journal_file import Entry

# Messages that a process must have seen before it makes a journal: a home that
# hardly gets mail needs none.
WORTH_A_JOURNAL: Final = 256

# Seconds after the first message of a segment until its files are made to survive. Until
# then a power cut may bring back what was delivered and removed.
CHECKPOINT_INTERVAL: Final = 5


class Journal:
    """The journal of one queue, for the process that holds its lock; it is empty when made.

    One thread calls `append()` and `published()`; `keep()` runs in another.
    """

    def __init__(
        self,
        queue: str,
        complain: Callable[[str], None],
        on_trouble: Callable[[], None] = lambda: None,
    ) -> None:
        """Raise OSError where one call cannot be trusted to make all files survive.

        `on_trouble` is called in the keeper's thread when a checkpoint has failed before the end.
        """
        folders = [layout.journal_directory(queue), f"{queue}/pid", f"{queue}/intd"]
        # A message is renamed from pid/ into mess/, and linked from intd/ into todo/.
        self._file_system = FileSystem(folders)
        self._queue = queue
        self._complain = complain
        self._on_trouble = on_trouble
        self._changed = threading.Condition()
        self._seen = 0
        self._sequence = 0
        self._use: Use | None = None
        self._current: Segment | None = None
        self._appended: Segment | None = None  # where the last frame went
        self._free: list[Segment] = []
        self._full: Segment | None = None  # waits for its checkpoint
        self._ending = False
        self._failed = False
        self.needs_recovery = False

    # For the threads that take messages in.

    def takes(self, count: int) -> bool:
        """Say whether `append()` may be asked to take messages; `count` more have come."""
        if self._current is None:
            with self._changed:
                self._seen += count
                self._changed.notify()
        return self._current is not None and not self._failed

    def append(self, entries: Sequence[tuple[int, bytes, bytes]]) -> bool:
        """Have messages survive a power cut from here on. False: their files must be synced.

        If it is True, call `published()` once qmail-send can see them.
        """
        with self._changed:
            segment = self._room_for(frame_size(entries))
            if segment is None:
                return False
            segment.unpublished = True
            self._appended = segment
            if segment.since is None:
                segment.since = time.monotonic()
                self._changed.notify()
            self._sequence += 1
        try:
            if self._use is not None:
                self._use.note(self._sequence)
            segment.append(self._sequence, entries)
        except OSError as error:
            self._give_up("write the journal, going on without", error)
            self.published()
            return False
        except MemoryError:  # before anything was written
            self.published()
            return False
        return True

    def published(self) -> None:
        """Hear that the messages of the last `append()` have their names."""
        with self._changed:
            if self._appended is not None:
                self._appended.unpublished = False
            self._changed.notify()

    def _room_for(self, size: int) -> Segment | None:
        if self._current is None or self._failed or self._ending or not self._current.fits(size):
            return None
        if not self._current.has_room(size):
            self._turn()
        return self._current if self._current.has_room(size) else None

    def _turn(self) -> None:
        """Go on in the other segment, if there is nothing in it."""
        if self._free and self._current is not None:
            self._full, self._current = self._current, self._free.pop()
            self._changed.notify()

    def _give_up(self, what: str, error: OSError) -> None:
        """Take no more messages; what counts in the segments goes on counting."""
        self._complain(f"alert: unable to {what}: {error_text(error).decode()}")
        with self._changed:
            self._failed = True
            self._changed.notify()

    # For the thread that keeps it.

    def keep(self) -> None:
        """Make the segments when they are worth it, and checkpoints, until `end()`.

        On return the journal is empty, unless it `needs_recovery` by the next start.
        """
        try:
            if not self._is_worth_making():
                return
            self.make()
        except OSError as error:
            self._give_up("make a journal, going on without", error)
            return
        try:
            while self._checkpoint_is_due():
                self.checkpoint()
            self.empty()
        except OSError as error:
            self._give_up("make messages survive, ending to recover them", error)
            self.needs_recovery = True
            if not self._ending:
                self._on_trouble()

    def _is_worth_making(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._seen >= WORTH_A_JOURNAL or self._ending)
            return not self._ending

    def make(self, size: int = SEGMENT_SIZE) -> None:
        """Make what is missing of the journal, and take messages from here on."""
        for path in _paths(self._queue):
            make_segment(path, size)
        self._use = Use(self._queue)
        with self._changed:
            self._free = [Segment(path) for path in _paths(self._queue)]
            self._current = self._free.pop()

    def _checkpoint_is_due(self) -> bool:
        """Wait until one is; False when nothing is appended any more."""
        with self._changed:
            while not (self._ending or self._failed):
                left = self._seconds_left()
                if left is not None and left <= 0:
                    return True
                self._changed.wait(left)
        return False

    def _seconds_left(self) -> float | None:
        """Return how long to wait for the next checkpoint; None if nothing waits for it."""
        if self._full is not None:
            return 0
        if self._current is None or self._current.since is None:
            return None
        return self._current.since + CHECKPOINT_INTERVAL - time.monotonic()

    def checkpoint(self) -> None:
        """Make all files survive that the fuller segment speaks of, and empty it."""
        with self._changed:
            if self._full is None:
                self._turn()
            segment = self._full
            if segment is None:
                return
            self._changed.wait_for(lambda: not segment.unpublished)
        try:
            self._file_system.sync()
        except OSError:
            journal_use.doubt(self._queue)
            raise
        segment.clear()
        with self._changed:
            self._full = None
            self._free.append(segment)

    def empty(self) -> None:
        """Make all files survive; then nothing counts any more."""
        while self._full is not None or (self._current and self._current.since is not None):
            self.checkpoint()
        journal_use.forget(self._queue)

    def end(self) -> None:
        """Let `keep()` return. Nothing is appended any more."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def close(self) -> None:
        """Close the files, after `keep()`."""
        for segment in (self._current, self._full, *self._free):
            if segment is not None:
                segment.close()
        if self._use is not None:
            self._use.close()
        self._file_system.close()


# What a journal says to those who come later.


def read_frames(queue: str) -> dict[int, list[Entry]]:
    """Return the entries of each frame that counts, by its number, in order."""
    found: dict[int, list[Entry]] = {}
    for path in _paths(queue):
        with suppress(FileNotFoundError):
            found.update(parse_segment(files.read_all(path)))
    return dict(sorted(found.items()))


def discard(queue: str) -> None:
    """Make nothing in the segments count any more, durably; then the journal is not in use."""
    for path in _paths(queue):
        with suppress(FileNotFoundError):
            segment = Segment(path)
            try:
                segment.clear()
            except OSError:
                files.unlink(path)  # a block of it is bad; it must not be recovered for ever
            finally:
                segment.close()
    journal_use.forget(queue)


def _paths(queue: str) -> list[str]:
    return [f"{layout.journal_directory(queue)}/{name}" for name in ("0", "1")]
