"""Settling messages: from S4 to S5, in batches, since each step ends with a sync.

For all messages of a batch:

1. where there is a journal, make sure that message and envelope survive as files: else a power
   cut could leave the record of one message with another that had its number before;
2. take away what was recorded under the number, and write `info`, `local` and `remote`;
3. sync these, and the directories that changed;
4. have `todo/N` and `intd/N` removed.
"""

from __future__ import annotations

import os
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from pyqmail.queue import journal_use, layout
from pyqmail.queue.envelope_file import encode_addition, encode_recipient, encode_sender
from pyqmail.queue.record_file import RecordFile, read_additions, trouble
from pyqmail.queue.store import CHANNELS, StoreFailure
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyqmail.queue.intake import SyncAll
    from pyqmail.queue.store import Settlement

# Messages of one batch. Each has up to five files open.
_MAX_BATCH: Final = 64


class Cleaner(Protocol):
    """Removes what belongs to qmailq; qmail-clean(8)."""

    def clean(self, requests: Sequence[bytes]) -> bytes:
        """Answer each request, `foop/N` or `todo/N`, with one byte: `+` when done."""


def settle_all(
    queue: str, settlements: Sequence[Settlement], cleaner: Cleaner, sync_all: SyncAll
) -> Iterator[Sequence[int] | StoreFailure]:
    """Yield the positions of the recipients, or the failure, for each message; see store.Store."""
    for start in range(0, len(settlements), _MAX_BATCH):
        batch = [
            _Message(queue, settlement) for settlement in settlements[start : start + _MAX_BATCH]
        ]
        try:
            _write_all(queue, batch, sync_all)
        finally:
            for message in batch:
                message.close()
        _clean(batch, cleaner)
        yield from [message.failure or message.positions for message in batch]


def _write_all(queue: str, batch: Sequence[_Message], sync_all: SyncAll) -> None:
    """Take the first three steps with each message that has no failure."""
    _step(batch, _Message.check)
    if journal_use.is_used(queue):
        _step(batch, _Message.open_itself)
        _sync(batch, sync_all)
    _step(batch, _Message.write)
    _sync(batch, sync_all)
    for message in batch:
        if message.failure is not None:
            message.give_up()


def _step(batch: Sequence[_Message], step: Callable[[_Message], None]) -> None:
    for message in batch:
        if message.failure is None:
            try:
                step(message)
            except StoreFailure as failure:
                message.failure = failure


def _sync(batch: Sequence[_Message], sync_all: SyncAll) -> None:
    """Sync what the last step has left open or changed, and close it."""
    written = [message for message in batch if message.failure is None]
    descriptors = [number for message in written for number in message.descriptors]
    directories = sorted(set().union(*(message.directories for message in written)))
    try:
        with trouble("trouble fsyncing"):
            sync_all(descriptors, directories)
    except StoreFailure as failure:
        for message in written:
            message.failure = StoreFailure(failure.text + message.name, failure.reason)
    for message in written:
        message.close()


def _clean(batch: Sequence[_Message], cleaner: Cleaner) -> None:
    settled = [message for message in batch if message.failure is None]
    requests = [b"todo/%d" % message.number for message in settled]
    for message, request, answer in zip(settled, requests, cleaner.clean(requests), strict=True):
        if answer != ord("+"):
            message.failure = unclean(request)


class _Message:
    """A message being settled."""

    def __init__(self, queue: str, settlement: Settlement) -> None:
        self._queue = queue
        self._settlement = settlement
        self.number = settlement.number
        self.name = f" {layout.info_path(self.number)}".encode()
        self.positions = array("Q")  # of its recipients
        self.failure: StoreFailure | None = None
        self.descriptors: list[int] = []  # to be synced next
        self.directories: set[str] = set()
        self._has_written = False

    def check(self) -> None:
        """Make sure that there is an envelope: else the record would be replaced for nothing."""
        todo = layout.todo_path(self.number)
        with trouble(f"unable to stat {todo}"):
            os.stat(self._path(todo))

    def open_itself(self) -> None:
        """Open message and envelope."""
        for name in (layout.message_path(self.number), layout.todo_path(self.number)):
            path = self._path(name)
            with trouble(f"unable to open {name}"):
                self.descriptors.append(files.open_to_read(path))
            self.directories.add(os.path.dirname(path))

    def write(self) -> None:
        """Write the record in the place of any other."""
        self.directories = forget(self._queue, self.number)
        self._has_written = True
        info = RecordFile(self._queue, layout.info_path(self.number))
        channels = {
            channel: RecordFile(self._queue, layout.recipients_path(channel, self.number))
            for channel in CHANNELS
        }
        records = [info, *channels.values()]
        try:
            info.append(encode_sender(self._settlement.reverse_path))
            for addition in self._additions():
                info.append(encode_addition(addition))
            for recipient in self._settlement.recipients:
                record = encode_recipient(recipient.address, done=recipient.done)
                self.positions.append(channels[recipient.channel].append(record))
            for file in records:
                file.flush()
            with trouble(f"unable to utime {info.name}"):
                files.set_times(info.descriptor, self._settlement.birth)
        finally:
            existing = [file for file in records if file.descriptor >= 0]
            self.descriptors = [file.descriptor for file in existing]
            self.directories |= {file.directory() for file in existing}

    def _additions(self) -> Iterator[bytes]:
        todo = layout.todo_path(self.number)
        with trouble(f"unable to open {todo}"):
            descriptor = files.open_to_read(self._path(todo))
        try:
            yield from read_additions(descriptor, todo)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close what is open."""
        while self.descriptors:
            os.close(self.descriptors.pop())
        self.directories = set()

    def give_up(self) -> None:
        """Take away what was written: a disk that is full needs the room."""
        self.close()
        if self._has_written:
            with suppress(StoreFailure):  # then it is replaced by the next try
                forget(self._queue, self.number)

    def _path(self, name: str) -> str:
        return f"{self._queue}/{name}"


def forget(queue: str, number: int) -> set[str]:
    """Take away what was recorded of a message; return the directories that changed."""
    changed = set()
    for name in _record_names(number):
        path = f"{queue}/{name}"
        with trouble(f"unable to unlink {name}"):
            if files.discard(path):
                changed.add(os.path.dirname(path))
    return changed


def _record_names(number: int) -> tuple[str, ...]:
    # info last: without it nothing else of the record counts.
    recipients = [layout.recipients_path(channel, number) for channel in CHANNELS]
    return (layout.bounce_path(number), *recipients, layout.info_path(number))


def unclean(request: bytes) -> StoreFailure:
    """Return what is wrong when qmail-clean did not remove something."""
    return StoreFailure(b"qmail-clean unable to clean up " + request)
