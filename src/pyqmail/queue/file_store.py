"""What qmail-send does with the queue directory: from S4 to S5 to nothing.

`FileStore` is the `Store` of store.py. The directory is qmail's own, so that a
qmail can take over our queue and we its.

qmail-send owns info/, local/, remote/ and bounce/. Names in mess/, intd/ and
todo/ belong to qmailq; they are removed by a `Cleaner`, which is either
qmail-clean or, where one user owns all, the same code called directly.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from pyqmail.message.trace import invoker_of
from pyqmail.queue import layout, settling
from pyqmail.queue.envelope_file import ADDITION
from pyqmail.queue.record_file import (
    TodoFile,
    read_additions,
    read_recipients,
    read_records,
    trouble,
)
from pyqmail.queue.store import (
    CHANNELS,
    Channel,
    DamagedMessage,
    Recipient,
    Scheduled,
    Settled,
    Settlement,
    StoredRecipient,
    StoreFailure,
)
from pyqmail.queue.trigger import Trigger
from pyqmail.system import files
from pyqmail.system.locks import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import NoReturn

    from pyqmail.queue.intake import SyncAll
    from pyqmail.queue.settling import Cleaner

# Seconds after its last change that a message without envelope counts as
# abandoned: 36 hours. qmail-queue gives up after 24.
OSSIFIED: Final = 129600

_FIELD_SIZE: Final = 128  # bytes in which the number of the process stands that gave the message


class FileStore:
    """The queue directory of one home, as qmail-send uses it."""

    def __init__(self, home: str, cleaner: Cleaner, sync_all: SyncAll = files.sync_all) -> None:
        """`sync_all` is for the thread that settles and removes."""
        self._queue = layout.queue_directory(home)
        self._cleaner = cleaner
        self._sync_all = sync_all
        self._trigger: Trigger | None = None
        self._lock = -1

    def close(self) -> None:
        """Give up charge and close what is open."""
        if self._trigger is not None:
            self._trigger.close()
            self._trigger = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def take_charge(self) -> bool:
        """Lock lock/sendmutex until the process ends."""
        with trouble("unable to open mutex"):
            self._lock = files.open_to_overwrite(self._queue + "/lock/sendmutex")
            return try_lock(self._lock)

    def arrivals(self) -> int:
        """Return the reading end of lock/trigger."""
        if self._trigger is None:
            with trouble("unable to open lock/trigger"):
                self._trigger = Trigger(self._queue)
        return self._trigger.fileno()

    def heard(self) -> None:
        """Forget the bytes in lock/trigger."""
        if self._trigger is not None:
            self._trigger.drain()

    # New messages.

    def new_messages(self) -> Iterator[int]:
        """Yield what is in todo/."""
        yield from self._numbers("todo")

    def open_envelope(self, number: int) -> TodoFile:
        """Open todo/N."""
        size, todo = self._message_size(number), layout.todo_path(number)
        with trouble(f"unable to open {todo}"):
            descriptor = files.open_to_read(self._path(todo))
        try:
            envelope = TodoFile(descriptor, todo, size)
            self._check_origin(number, envelope)
        except StoreFailure:
            os.close(descriptor)
            raise
        return envelope

    def _check_origin(self, number: int, envelope: TodoFile) -> None:
        """Make sure that the envelope is not that of an earlier message with the number.

        A power cut may bring it back while the new message is being written.
        """
        descriptor = self.open_message(number)
        try:
            with trouble(f"unable to read {layout.message_path(number)}"):
                invoker = invoker_of(os.read(descriptor, _FIELD_SIZE))
        finally:
            os.close(descriptor)
        if envelope.size == 0 or invoker not in (None, envelope.pid):
            text = f"trouble reading {layout.todo_path(number)}"
            raise DamagedMessage(text.encode(), b"it belongs to another message")

    def settle(
        self, number: int, reverse_path: bytes, birth: int, recipients: Iterable[Recipient]
    ) -> Sequence[int]:
        """Write info, local and remote durably, then take todo/N away."""
        (result,) = self.settle_all([Settlement(number, reverse_path, birth, recipients)])
        if isinstance(result, StoreFailure):
            raise result
        return result

    def settle_all(
        self, settlements: Sequence[Settlement]
    ) -> Sequence[Sequence[int] | StoreFailure]:
        """Settle a batch; see `settling`."""
        return list(settling.settle_all(self._queue, settlements, self._cleaner, self._sync_all))

    # Settled messages.

    def scheduled_messages(self) -> Iterator[Scheduled | StoreFailure]:
        """Yield what has info and no todo."""
        for number in self._split_numbers("info"):
            if isinstance(number, StoreFailure):
                yield number
                continue
            try:
                scheduled = self._schedule(number)
            except StoreFailure as failure:
                yield failure
            else:
                if scheduled is not None:
                    yield scheduled

    def _schedule(self, number: int) -> Scheduled | None:
        if self._mtime(layout.todo_path(number)) is not None:
            return None
        if self._mtime(layout.message_path(number)) is None:
            self._set_aside(number)
        times: list[int | None] = []
        text = b""
        for channel in CHANNELS:
            try:
                times.append(self._mtime(layout.recipients_path(channel, number)))
            except StoreFailure as failure:
                text = failure.text
                times.append(0)
        return Scheduled(number, times[0], times[1], text)

    def _set_aside(self, number: int) -> NoReturn:
        """Take a record whose message is lost out of the schedule, but keep it for a human.

        A later message may get the number; it must not go to these recipients.
        """
        info = layout.info_path(number)
        with trouble(f"unable to rename {info}"):
            files.rename(self._path(info), self._path(info) + ".lost")
            files.sync_directory(os.path.dirname(self._path(info)))
        raise DamagedMessage(
            f"unable to stat {layout.message_path(number)}; {info}.lost kept".encode(),
        )

    def read_settled(self, number: int) -> Settled:
        """Read info/N, its time, and the size of the message."""
        size, info = self._message_size(number), layout.info_path(number)
        with trouble(f"unable to open {info}"):
            descriptor = files.open_to_read(self._path(info))
        try:
            birth = int(os.fstat(descriptor).st_mtime)
            first_records = read_records(descriptor, info)
            record, second = next(first_records, b""), next(first_records, b"")
        finally:
            os.close(descriptor)
        if not record.startswith(b"F"):
            raise DamagedMessage(b"trouble reading " + info.encode(), b"no sender record")
        return Settled(record[1:], birth, size, second.startswith(ADDITION))

    def read_recipients(self, number: int, channel: Channel) -> Iterator[StoredRecipient]:
        """Yield the records of local/N or remote/N."""
        name = layout.recipients_path(channel, number)
        with trouble(f"trouble opening {name}"):
            try:
                descriptor = files.open_to_read(self._path(name))
            except FileNotFoundError:
                return
        try:
            yield from read_recipients(descriptor, name)
        finally:
            os.close(descriptor)

    def read_wishes(self, number: int) -> Iterator[bytes]:
        """Yield the additional records of todo/N, or else of info/N."""
        for name in (layout.todo_path(number), layout.info_path(number)):
            with trouble(f"unable to open {name}"):
                try:
                    descriptor = files.open_to_read(self._path(name))
                except FileNotFoundError:
                    continue
            try:
                yield from read_additions(descriptor, name)
            finally:
                os.close(descriptor)
            return

    def mark_done(self, number: int, channel: Channel, position: int) -> None:
        """Overwrite the letter of a record with D."""
        name = layout.recipients_path(channel, number)
        with trouble(f"trouble marking {name}; message will be delivered twice!"):
            descriptor = files.open_to_overwrite(self._path(name))
            try:
                files.write_at(descriptor, b"D", position)
            finally:
                os.close(descriptor)

    def finish_channel(self, number: int, channel: Channel) -> None:
        """Remove local/N or remote/N."""
        name = layout.recipients_path(channel, number)
        with trouble(f"unable to unlink {name}"):
            files.discard(self._path(name))

    def set_retry_time(self, number: int, channel: Channel, time: int) -> None:
        """Keep the time as that of the recipient file."""
        name = layout.recipients_path(channel, number)
        with trouble(f"unable to utime {name}; message will be retried too soon"):
            files.set_times(self._path(name), time)

    # Failures.

    def note_failure(self, number: int, note: bytes) -> None:
        """Append to bounce/N, and sync it and its name."""
        with trouble("unable to append to bounce message"):
            path = self._path(layout.bounce_path(number))
            descriptor = files.open_to_append(path, layout.PRIVATE_MODE)
            try:
                before = os.fstat(descriptor).st_size
                try:
                    files.write(descriptor, note)
                    files.sync_all([descriptor], [self._queue + "/bounce"] if not before else [])
                except OSError:
                    files.truncate(descriptor, before)
                    raise
            finally:
                os.close(descriptor)

    def open_bounce(self, number: int) -> int | None:
        """Open bounce/N."""
        path = layout.bounce_path(number)
        with trouble(f"unable to open {path}"):
            try:
                return files.open_to_read(self._path(path))
            except FileNotFoundError:
                return None

    def discard_bounce(self, number: int) -> None:
        """Remove bounce/N."""
        path = layout.bounce_path(number)
        with trouble(f"unable to unlink {path}"):
            files.discard(self._path(path))

    # The message, and its end.

    def open_message(self, number: int) -> int:
        """Open mess/S/N."""
        path = layout.message_path(number)
        with trouble(f"unable to open {path}", missing_is_damage=True):
            return files.open_to_read(self._path(path))

    def remove(self, numbers: Sequence[int]) -> list[StoreFailure | None]:
        """Remove the records, then the envelopes, then the messages."""
        failures: dict[int, StoreFailure] = {}
        changed = {number: self._forget_for_removal(number, failures) for number in numbers}
        self._sync_removal(changed, failures)
        requests = [
            request
            for number in numbers
            if number not in failures
            for request in self._removal(number)
        ]
        for request, answer in zip(requests, self._cleaner.clean(requests), strict=True):
            if answer != ord("+"):
                failures.setdefault(int(request[5:]), settling.unclean(request))
        return [failures.get(number) for number in numbers]

    def _removal(self, number: int) -> list[bytes]:
        """Return the requests to qmail-clean that end a message."""
        is_new = os.path.lexists(self._path(layout.todo_path(number)))
        return [b"todo/%d" % number] * is_new + [b"foop/%d" % number]

    def _forget_for_removal(self, number: int, failures: dict[int, StoreFailure]) -> set[str]:
        try:
            return settling.forget(self._queue, number)
        except StoreFailure as failure:
            failures[number] = failure
            return set()

    def _sync_removal(
        self, changed: dict[int, set[str]], failures: dict[int, StoreFailure]
    ) -> None:
        """Make sure that no record outlives its message.

        The number will be used again. After a power cut that kept the old
        recipients but not the old message, they would get the new one.
        """
        try:
            with trouble("trouble fsyncing info"):
                self._sync_all([], sorted(set().union(*changed.values())))
        except StoreFailure as failure:
            failures.update({number: failure for number in changed if changed[number]})

    def leftovers(self, now: int) -> Iterator[int | StoreFailure]:
        """Yield what lies in mess/ for 36 hours with neither info nor todo."""
        for number in self._split_numbers("mess"):
            if isinstance(number, StoreFailure):
                yield number
                continue
            try:
                if self._is_ossified(number, now):
                    yield number
            except StoreFailure as failure:
                yield failure

    def _is_ossified(self, number: int, now: int) -> bool:
        changed = self._mtime(layout.message_path(number))
        return (
            changed is not None
            and now > changed + OSSIFIED
            and self._mtime(layout.info_path(number)) is None
            and self._mtime(layout.todo_path(number)) is None
        )

    def remove_leftover(self, number: int) -> None:
        """Have intd/N and mess/S/N removed."""
        self._clean(b"foop/%d" % number)

    # The directory.

    def _path(self, name: str) -> str:
        return f"{self._queue}/{name}"

    def _message_size(self, number: int) -> int:
        """Return the size of a message; raise DamagedMessage if there is no such file."""
        message = layout.message_path(number)
        with trouble(f"unable to stat {message}", missing_is_damage=True):
            status = os.stat(self._path(message))
        if not stat.S_ISREG(status.st_mode):
            raise DamagedMessage(b"trouble reading " + message.encode(), b"not a regular file")
        return status.st_size

    def _mtime(self, name: str) -> int | None:
        """Return when a file was changed last; None if there is no such file."""
        with trouble(f"unable to stat {name}"):
            try:
                return int(os.stat(self._path(name)).st_mtime)
            except FileNotFoundError:
                return None

    def _numbers(self, directory: str) -> Iterator[int]:
        with trouble(f"unable to opendir {directory}"), os.scandir(self._path(directory)) as names:
            for entry in names:
                number = layout.parse_number(entry.name)
                if number is not None:
                    yield number

    def _split_numbers(self, directory: str) -> Iterator[int | StoreFailure]:
        for part in range(layout.SPLIT):
            try:
                yield from self._numbers(f"{directory}/{part}")
            except StoreFailure as failure:
                yield failure

    def _clean(self, request: bytes) -> None:
        if self._cleaner.clean([request]) != b"+":
            raise settling.unclean(request)
