"""What the core's actions mean for a store; the threads of `hands` carry them out.

Each action that is answered is answered here, whatever happens to it.
"""

from __future__ import annotations

import os
import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pyqmail.errors import Failure, TransientFailure
from pyqmail.message.wishes import Wishes
from pyqmail.queue.store import (
    Channel,
    CleanerLost,
    DamagedMessage,
    Recipient,
    Settlement,
    StoredRecipient,
    StoreFailure,
)
from pyqmail.send import bounces, events, log, notices
from pyqmail.send.shares import destination_of
from pyqmail.system import errnos
from pyqmail.system.files import READ_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyqmail.queue.store import NewEnvelope, Scheduled, Store

    # Queues a bounce; returns qp.
    Inject = Callable[[bounces.BounceMessage], int]

WINDOW: Final = 100  # recipients that one ReadRecipients gives
SORTED: Final = 10_000  # recipients of a long list that are brought into order at once


class QueueNotStarted(TransientFailure):
    """A bounce could not even be begun."""


class StoreWork:
    """What each action means for a store.

    `now` gives the time; `inject` queues a bounce.
    """

    def __init__(self, store: Store, settings: bounces.BounceSettings, inject: Inject) -> None:
        self._store = store
        self._settings = settings
        self._inject = inject
        self._passes: dict[tuple[int, Channel], Iterator[StoredRecipient]] = {}
        self.stopping = False  # long searches end
        self._ways: dict[type[events.Action], Callable[[Any], events.Event | None]] = {
            events.LookForNew: self._look_for_new,
            events.ReadNew: self._read_new,
            events.SettleFromEnvelope: self._settle_from_envelope,
            events.ReadRecipients: self._read_recipients,
            events.StopReading: self._stop_reading,
            events.MarkDone: self._mark_done,
            events.RecordFailure: self._record_failure,
            events.FinishChannel: self._finish_channel,
            events.Bounce: self._bounce,
            events.Tell: self._tell,
            events.SetRetryTime: self._set_retry_time,
            events.Survey: self._survey,
        }

    def work(self, actions: Sequence[events.Action]) -> Iterator[events.Event]:
        """Carry out a batch; what is to be settled comes last, together, and then removals."""
        settled, removals = [], []
        for action in actions:
            if isinstance(action, events.Remove):
                removals.append(action.number)
            elif isinstance(action, events.Settle):
                settled.append(action)
            elif isinstance(action, events.Sweep):
                yield from self._sweep()
            else:
                yield from self._carry_out(action)
        if settled:
            yield from self._settle(settled)
        if removals:
            yield from self._remove(removals)

    def _carry_out(self, action: events.Action) -> Iterator[events.Event]:
        try:
            event = self._ways[type(action)](action)
        except Exception as error:  # noqa: BLE001  the top of a thread: every action is answered
            if isinstance(error, CleanerLost):
                yield events.CleanerLost()
            yield _failed(action, error)
        else:
            if event is not None:
                yield event

    # New messages.

    def _look_for_new(self, action: events.LookForNew) -> events.Event:
        numbers = list(islice(self._store.new_messages(), action.limit + 1))
        return events.Listed(numbers[: action.limit], len(numbers) > action.limit)

    def _read_new(self, action: events.ReadNew) -> events.Event:
        with self._store.open_envelope(action.number) as envelope:
            paths = list(islice(envelope, action.limit + 1))
            complete = len(paths) <= action.limit
            number, uid, pid = action.number, envelope.uid, envelope.pid
            path, size = envelope.reverse_path, envelope.size
            has_wishes = envelope.has_additions
        wishes = self._wishes(number) if has_wishes else None
        notices = frozenset[bytes]() if wishes is None else wishes.notices
        return events.NewMessage(number, uid, pid, path, size, paths, complete, notices, wishes)

    def _wishes(self, number: int) -> Wishes:
        return Wishes.of_records(self._store.read_wishes(number))

    def _settle(self, actions: Sequence[events.Settle]) -> Iterator[events.Event]:
        settlements = [
            Settlement(action.number, action.reverse_path, action.birth, action.recipients)
            for action in actions
        ]
        try:
            results = self._store.settle_all(settlements)
        except Exception as error:  # noqa: BLE001  as in _carry_out
            if isinstance(error, CleanerLost):
                yield events.CleanerLost()
            yield from [_failed(action, error) for action in actions]
            return
        for action, result in zip(actions, results, strict=True):
            if isinstance(result, StoreFailure):
                yield _failed(action, result)
            else:
                channels = frozenset(recipient.channel for recipient in action.recipients)
                yield events.SettleDone(action.number, result, channels)

    def _settle_from_envelope(self, action: events.SettleFromEnvelope) -> events.Event:
        channels: set[Channel] = set()

        def recipients(envelope: NewEnvelope) -> Iterator[Recipient]:
            for path in envelope:
                recipient = action.routing.route(path)
                channels.add(recipient.channel)
                yield recipient

        def by_destination(envelope: NewEnvelope) -> Iterator[Recipient]:
            # Those who are read together later share transactions with other hosts.
            found = recipients(envelope)
            while piece := list(islice(found, SORTED)):
                yield from sorted(piece, key=_destination)

        with self._store.open_envelope(action.number) as envelope:
            path = envelope.reverse_path
            self._store.settle(action.number, path, action.birth, by_destination(envelope))
        return events.SettleDone(action.number, (), frozenset(channels))

    # Settled messages.

    def _read_recipients(self, action: events.ReadRecipients) -> events.Event:
        key = action.number, action.channel
        settled = None
        wishes = None
        if action.first:
            settled = self._store.read_settled(action.number)
            if settled.has_additions:
                wishes = self._wishes(action.number)
            self._passes[key] = iter(self._store.read_recipients(*key))
        recipients: list[StoredRecipient] = []
        while len(recipients) < WINDOW:
            try:
                recipient = next(self._passes[key], None)
            except (StoreFailure, OSError) as error:
                # What was read before is delivered first; the next call meets the trouble.
                if not recipients:
                    del self._passes[key]
                    raise
                self._passes[key] = _raise_later(error)
                break
            if recipient is None:
                del self._passes[key]
                break
            if not recipient.done:
                recipients.append(recipient)
        complete = key not in self._passes
        notices = frozenset[bytes]() if wishes is None else wishes.notices
        return events.RecipientsRead(*key, settled, recipients, complete, notices, wishes)

    def _stop_reading(self, action: events.StopReading) -> None:
        self._passes.pop((action.number, action.channel), None)

    def _mark_done(self, action: events.MarkDone) -> None:
        self._store.mark_done(action.number, action.channel, action.position)

    def _record_failure(self, action: events.RecordFailure) -> events.Event:
        self._store.note_failure(action.number, action.note)
        self._store.mark_done(action.number, action.channel, action.position)
        return events.FailureRecorded(action, written=True)

    def _finish_channel(self, action: events.FinishChannel) -> events.Event:
        self._store.finish_channel(action.number, action.channel)
        return events.ChannelFinished(action.number, action.channel)

    def _set_retry_time(self, action: events.SetRetryTime) -> None:
        self._store.set_retry_time(action.number, action.channel, action.time)

    def _survey(self, _action: events.Survey) -> events.Event:
        scheduled: list[Scheduled] = []
        troubles: list[bytes] = []
        incomplete = False
        for found in self._store.scheduled_messages():
            if isinstance(found, StoreFailure):
                damaged = isinstance(found, DamagedMessage)
                troubles.append(log.unreadable(found.text, damaged=damaged))
                incomplete |= not damaged
            else:
                scheduled.append(found)
        return events.Surveyed(scheduled, troubles, incomplete)

    # The end of a message.

    def _bounce(self, action: events.Bounce) -> events.Event:
        number, notes, reverse_path = action.number, action.notes, action.reverse_path
        if notes is not None and reverse_path is not None:
            return self._tell_sender(number, reverse_path, lambda: (notes,))
        descriptor = self._store.open_bounce(number)
        if descriptor is None:
            return events.BounceDone(number)
        try:
            reverse_path = self._store.read_settled(number).reverse_path
            event = self._tell_sender(number, reverse_path, partial(_pieces, descriptor))
        finally:
            os.close(descriptor)
        self._store.discard_bounce(number)
        return event

    def _tell_sender(self, number: int, reverse_path: bytes, notes: bounces.Text) -> events.Event:
        message = self._store.open_message(number)
        try:
            status = os.fstat(message)
            failed = bounces.FailedMessage(
                reverse_path,
                size=status.st_size,
                # Nobody writes to it after it has arrived.
                arrival=int(status.st_mtime),
                read=partial(_pieces, message),
                read_notes=notes,
                wishes=Wishes.of_records(self._store.read_wishes(number)),
            )
            if not bounces.anybody_is_told(failed):
                return events.BounceDone(number)
            bounce = bounces.compose(failed, self._settings, int(time.time()))
            if bounce is None:
                return events.BounceDone(number, log.triple_bounce(number))
            qp = self._inject(bounce)
        finally:
            os.close(message)
        return events.BounceDone(number, log.bounced(number, qp), qp)

    def _tell(self, action: events.Tell) -> events.Event:
        number = action.number
        wishes = Wishes.of_records(self._store.read_wishes(number))
        if not notices.is_wanted(action, wishes):
            return events.Told(action)
        message = self._store.open_message(number)
        try:
            notice = notices.compose(
                action,
                wishes,
                self._settings,
                arrival=int(os.fstat(message).st_mtime),
                read=partial(_pieces, message),
                now=int(time.time()),
            )
            return events.Told(action, log.told(number, self._inject(notice)))
        finally:
            os.close(message)

    def _remove(self, numbers: list[int]) -> Iterator[events.Event]:
        try:
            failures = self._store.remove(numbers)
        except Exception as error:  # noqa: BLE001  as in _carry_out
            if isinstance(error, CleanerLost):
                yield events.CleanerLost()
            for number in numbers:
                yield events.RemoveDone(number, _text(error))
            return
        for number, failure in zip(numbers, failures, strict=True):
            yield events.RemoveDone(number, failure.text if failure else b"")

    def _sweep(self) -> Iterator[events.Event]:
        try:
            for leftover in self._store.leftovers(int(time.time())):
                if self.stopping:
                    return
                if isinstance(leftover, StoreFailure):
                    yield events.Trouble(log.unreadable(leftover.text))
                else:
                    self._store.remove_leftover(leftover)
        except CleanerLost:
            yield events.CleanerLost()
        except (StoreFailure, OSError) as error:
            yield events.Trouble(log.unreadable(_text(error)))
        yield events.Swept()


def _destination(recipient: Recipient) -> bytes:
    return destination_of(recipient.address)


def _pieces(descriptor: int) -> Iterator[bytes]:
    """Yield what a file holds, from its beginning."""
    position = 0
    while piece := os.pread(descriptor, READ_SIZE, position):
        yield piece
        position += len(piece)


def _raise_later(error: Exception) -> Iterator[StoredRecipient]:
    """Yield nothing: raise once what the reading of a pass has met."""
    raise error
    yield  # makes this a generator: it raises when it is asked, not when it is made


def _text(error: Exception) -> bytes:
    """Return what the log says about an error."""
    if isinstance(error, Failure):
        return error.text
    if isinstance(error, OSError):
        return b"trouble with the queue: " + errnos.error_text(error)
    return b"unexpected " + repr(error).encode("ascii", "backslashreplace")


def _bounce_text(error: Exception) -> bytes:
    """Return what the log says about a bounce that could not be queued."""
    if isinstance(error, QueueNotStarted):
        return log.QUEUE_NOT_STARTED
    return error.text if isinstance(error, StoreFailure) else log.BOUNCE_NOT_QUEUED


def _failed(  # noqa: PLR0911  a table: one answer for each kind of action
    action: events.Action, error: Exception
) -> events.Event:
    """Return the event that answers an action which failed."""
    text, damaged = _text(error), isinstance(error, DamagedMessage)
    match action:
        case events.LookForNew():
            return events.Listed((), trouble=text)
        case events.ReadNew(number):
            return events.NewUnreadable(number, text, damaged)
        case events.Settle(number) | events.SettleFromEnvelope(number):
            return events.SettleFailed(number, text, damaged)
        case events.ReadRecipients(number, channel):
            return events.RecipientsUnreadable(number, channel, text, damaged)
        case events.RecordFailure():
            return events.FailureRecorded(action, written=False)
        case events.FinishChannel(number, channel):
            return events.ChannelFinished(number, channel, text)
        case events.Bounce(number):
            return events.BounceFailed(number, _bounce_text(error), damaged)
        case events.Tell():
            line = text if isinstance(error, StoreFailure) else log.NOTICE_NOT_QUEUED
            return events.Told(action, log.warning(line), again=not damaged)
        case events.Survey():
            return events.Surveyed((), [log.unreadable(text)], incomplete=True)
        case _:
            return events.Trouble(log.warning(text))
