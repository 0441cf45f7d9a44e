"""A queue, spawners and a clock that exist only in memory, to run the core of qmail-send on.

`World.run()` carries out the core's actions in the core's order, but ends them
at random moments; it fails some, and it can crash the core, which loses all
that is not on the simulated disk.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.protocol.spawn import Report
from pyqmail.queue.store import Channel, Recipient, Scheduled, Settled, StoredRecipient
from pyqmail.send import events
from pyqmail.send.core import Core, Settings
from pyqmail.send.routing import Routing

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTING = Routing(ConstantMap([b"here"]), ColonMap([]), ConstantMap([]), b"here")


@dataclass
class Stored:
    """A message on the simulated disk."""

    number: int
    identity: int  # never used again, as the number is
    reverse_path: bytes
    forward_paths: list[bytes]
    is_new: bool = True
    birth: int = 0
    recipients: list[Recipient] = field(default_factory=list)
    channels: set[Channel] = field(default_factory=set)
    retry: dict[Channel, int] = field(default_factory=dict)
    notes: list[bytes] = field(default_factory=list)
    lacks_marks: bool = False  # somebody was delivered to, and the mark could not be written


class World:
    """Disk, spawners and clock around one core after the other."""

    def __init__(
        self,
        seed: int = 0,
        *,
        slots: int = 3,
        lifetime: int = 604800,
        trouble: float = 0.0,
        letters: bytes = b"K",
        routing: Routing = ROUTING,
    ) -> None:
        self.chance = random.Random(seed)
        self.now = 1_000_000.0
        self.slots = slots
        self.lifetime = lifetime
        self.trouble = trouble  # how often a call of the store fails
        self.letters = letters  # what reports say, chosen at random
        self.report_delay = 0.2
        self.routing = routing
        self.disk: dict[int, Stored] = {}
        self.accepted: dict[int, list[bytes]] = {}
        self.delivered: dict[int, list[bytes]] = {}
        self.bounced: dict[int, bytes] = {}
        self.log: list[bytes] = []
        self.started: list[tuple[float, bytes]] = []
        self.settles = 0
        self.exited = False
        self.largest_window = 0
        self._identities = 0
        self._pending: list[tuple[float, int, events.Event]] = []
        self._order = 0
        self._iterators: dict[tuple[int, Channel], list[StoredRecipient]] = {}
        self._ways: dict[type[events.Action], Callable[[Any], None]] = {
            events.Log: self._do_log,
            events.StartDelivery: self._do_start_delivery,
            events.LookForNew: self._do_look_for_new,
            events.ReadNew: self._do_read_new,
            events.Settle: self._do_settle,
            events.SettleFromEnvelope: self._do_settle_from_envelope,
            events.ReadRecipients: self._do_read_recipients,
            events.StopReading: self._do_stop_reading,
            events.MarkDone: self._do_mark_done,
            events.RecordFailure: self._do_record_failure,
            events.FinishChannel: self._do_finish_channel,
            events.Bounce: self._do_bounce,
            events.Remove: self._do_remove,
            events.SetRetryTime: self._do_set_retry_time,
            events.Sweep: self._do_sweep,
            events.Exit: self._do_exit,
        }
        self.start()

    # What the outside does.

    def inject(self, *forward_paths: bytes, reverse_path: bytes = b"s@far") -> int:
        """Accept a message durably, and pull the trigger."""
        self._identities += 1
        number = next(n for n in range(1, 10**9) if n not in self.disk)
        self.disk[number] = Stored(number, self._identities, reverse_path, list(forward_paths))
        self.accepted[self._identities] = list(forward_paths)
        self.tell(events.Arrived())
        return number

    def start(self) -> None:
        """Start a qmail-send on what the disk has."""
        settings = Settings({"local": self.slots, "remote": self.slots}, self.lifetime)
        self.core = Core(settings, self.routing)
        self.exited = False
        for stored in self.disk.values():
            if not stored.is_new:
                times = {c: stored.retry.get(c, 0) for c in stored.channels}
                scheduled = Scheduled(stored.number, times.get("local"), times.get("remote"))
                self.core.adopt(scheduled, self.now)
        self._carry_out(self.core.start(self.now))

    def crash(self) -> None:
        """Lose all that is not on disk, and start again."""
        self._pending.clear()
        self._iterators.clear()
        self.start()

    def tell(self, event: events.Event) -> None:
        """Let the core hear of something at once."""
        if not self.exited:
            self._carry_out(self.core.handle([event], self.now))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while not self.exited:
            self._pending.sort(key=lambda entry: entry[:2])
            wake_at = self.core.wake_at()
            moments = [self._pending[0][0]] if self._pending else []
            moments += [wake_at] if wake_at is not None else []
            if not moments or min(moments) > end:
                break
            self.now = max(self.now, min(moments))
            happened = [event for time, _, event in self._pending if time <= self.now]
            del self._pending[: len(happened)]
            self._carry_out(self.core.handle(happened, self.now))
        self.now = max(self.now, end)

    def lost_recipients(self) -> list[tuple[int, bytes]]:
        """Return recipients that are neither delivered to, nor bounced, nor queued."""
        lost = []
        queued = {stored.identity: stored for stored in self.disk.values()}
        for identity, forward_paths in self.accepted.items():
            stored = queued.get(identity)
            for path in forward_paths:
                if path in self.delivered.get(identity, ()):
                    continue
                note = b"<" + path + b">"
                if note in self.bounced.get(identity, b""):
                    continue
                if stored is not None and _has(stored, path):
                    continue
                lost.append((identity, path))
        return lost

    # What the core wants.

    def _carry_out(self, actions: list[events.Action]) -> None:
        for action in actions:
            self._ways[type(action)](action)

    def _answer(self, event: events.Event, delay: float | None = None) -> None:
        self._order += 1
        delay = self.chance.random() * 0.01 if delay is None else delay
        self._pending.append((self.now + delay, self._order, event))

    def _fails(self) -> bool:
        return self.chance.random() < self.trouble

    def _do_log(self, action: events.Log) -> None:
        self.log.append(action.line)

    def _do_start_delivery(self, action: events.StartDelivery) -> None:
        job = action.job
        number = int(job.message_path.partition(b"/")[2])
        self.started.append((self.now, job.forward_path))
        letter = bytes([self.chance.choice(self.letters)])
        if letter == b"K":
            identity = self.disk[number].identity
            self.delivered.setdefault(identity, []).append(job.forward_path)
        report = Report(job.slot, letter, b"text\n")
        delay = self.chance.random() * self.report_delay
        self._answer(events.Reported(action.channel, report), delay)

    def _do_look_for_new(self, action: events.LookForNew) -> None:
        numbers = [stored.number for stored in self.disk.values() if stored.is_new]
        self._answer(events.Listed(numbers[: action.limit], len(numbers) > action.limit))

    def _do_read_new(self, action: events.ReadNew) -> None:
        if self._fails():
            self._answer(events.NewUnreadable(action.number, b"unable to open", damaged=False))
            return
        stored = self.disk[action.number]
        paths = stored.forward_paths[: action.limit]
        complete = len(paths) == len(stored.forward_paths)
        self._answer(
            events.NewMessage(
                action.number, 1, stored.identity, stored.reverse_path, 100, paths, complete
            )
        )

    def _do_settle(self, action: events.Settle) -> None:
        self._settle(action.number, action.birth, list(action.recipients))

    def _do_settle_from_envelope(self, action: events.SettleFromEnvelope) -> None:
        paths = self.disk[action.number].forward_paths
        recipients = [action.routing.route(path) for path in paths]
        self._settle(action.number, action.birth, recipients, positions=False)

    def _settle(
        self, number: int, birth: int, recipients: list[Recipient], *, positions: bool = True
    ) -> None:
        if self._fails():
            self._answer(events.SettleFailed(number, b"unable to create", damaged=False))
            return
        self.settles += 1
        stored = self.disk[number]
        stored.is_new = False
        stored.birth = birth
        stored.recipients = recipients
        stored.channels = {recipient.channel for recipient in recipients}
        named = range(len(recipients)) if positions else ()
        self._answer(events.SettleDone(number, named, frozenset(stored.channels)))

    def _do_read_recipients(self, action: events.ReadRecipients) -> None:
        stored = self.disk[action.number]
        key = action.number, action.channel
        if self._fails():
            self._iterators.pop(key, None)
            self._answer(events.RecipientsUnreadable(*key, text=b"trouble opening", damaged=False))
            return
        if action.first:
            self._iterators[key] = [
                StoredRecipient(position, recipient.address, recipient.done)
                for position, recipient in enumerate(stored.recipients)
                if recipient.channel == action.channel
            ]
        rest = self._iterators[key]
        window, self._iterators[key] = rest[:100], rest[100:]
        self.largest_window = max(self.largest_window, len(window))
        settled = Settled(stored.reverse_path, stored.birth, 100) if action.first else None
        complete = not self._iterators[key]
        self._answer(events.RecipientsRead(*key, settled, window, complete))

    def _do_stop_reading(self, action: events.StopReading) -> None:
        self._iterators.pop((action.number, action.channel), None)

    def _do_mark_done(self, action: events.MarkDone) -> None:
        if self._fails():
            self.disk[action.number].lacks_marks = True
        else:
            self._mark(action)

    def _mark(self, action: events.MarkDone | events.RecordFailure) -> None:
        stored = self.disk[action.number]
        old = stored.recipients[action.position]
        assert old.channel == action.channel
        stored.recipients[action.position] = Recipient(old.channel, old.address, done=True)

    def _do_record_failure(self, action: events.RecordFailure) -> None:
        if self._fails():
            self._answer(events.FailureRecorded(action, written=False))
            return
        self.disk[action.number].notes.append(action.note)
        self._mark(action)
        self._answer(events.FailureRecorded(action, written=True))

    def _do_finish_channel(self, action: events.FinishChannel) -> None:
        if self._fails():
            self._answer(events.ChannelFinished(action.number, action.channel, b"unable"))
            return
        stored = self.disk[action.number]
        done = all(r.done for r in stored.recipients if r.channel == action.channel)
        assert done or stored.lacks_marks
        stored.channels.discard(action.channel)
        self._answer(events.ChannelFinished(action.number, action.channel))

    def _do_bounce(self, action: events.Bounce) -> None:
        if self._fails():
            self._answer(events.BounceFailed(action.number, b"trouble injecting"))
            return
        stored = self.disk[action.number]
        notes = b"".join(stored.notes) if action.notes is None else action.notes
        if not notes:
            self._answer(events.BounceDone(action.number))
            return
        stored.notes.clear()
        self.bounced[stored.identity] = self.bounced.get(stored.identity, b"") + notes
        line = b"bounce msg %d qp 1" % action.number
        self._answer(events.BounceDone(action.number, line, 1))

    def _do_remove(self, action: events.Remove) -> None:
        if self._fails():
            self._answer(events.RemoveDone(action.number, b"unable to unlink"))
            return
        del self.disk[action.number]
        self._answer(events.RemoveDone(action.number))

    def _do_set_retry_time(self, action: events.SetRetryTime) -> None:
        self.disk[action.number].retry[action.channel] = action.time

    def _do_sweep(self, _action: events.Sweep) -> None:
        self._answer(events.Swept())

    def _do_exit(self, _action: events.Exit) -> None:
        self.exited = True
        self._pending.clear()
        self._iterators.clear()


def _has(stored: Stored, path: bytes) -> bool:
    """Will `path` still be delivered to, or its failure be told?"""
    if stored.is_new:
        return True
    waits = any(
        recipient.address == path and not recipient.done and recipient.channel in stored.channels
        for recipient in stored.recipients
    )
    return waits or any(b"<" + path + b">" in note for note in stored.notes)
