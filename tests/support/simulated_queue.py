"""A queue, spawners and a clock that exist only in memory, to run the core of qmail-send on.

`World.run()` carries out the core's actions in the core's order, but ends them
at random moments; it fails some, and it can crash the core before any change of
the simulated disk. A crash loses all that is not on that disk; a power cut loses
also some of what was written but not synced.
"""

from __future__ import annotations

import heapq
import random
import re
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


class _Crash(Exception):  # noqa: N818  what happens to the core, not an error of this
    pass


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
    notices: frozenset[bytes] = frozenset()  # what the sender wants to be told of everybody
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
        bounces_are_mail: bool = False,
    ) -> None:
        self.chance = random.Random(seed)
        self.now = 1_000_000.0
        self.slots = slots
        self.lifetime = lifetime
        self.trouble = trouble  # how often a call of the store fails
        self.letters = letters  # what reports say, chosen at random
        self.report_delay = 0.2
        self.delays: dict[bytes, float] = {}  # seconds of each delivery to these domains
        self.silent: set[bytes] = set()  # domains that take no mail for now
        self.routing = routing
        self.bounces_are_mail = bounces_are_mail  # and may bounce in turn
        self.bounces_hang = False
        self.notices_hang = False
        self.notices_fail = False
        self.on_tell: Callable[[events.Tell], object] = lambda _: None
        self.broken_envelopes: set[int] = set()
        self.steps_to_live: int | None = None  # changes of the disk until a crash
        self.crashes = 0
        self.disk: dict[int, Stored] = {}
        self.accepted: dict[int, list[bytes]] = {}
        self.delivered: dict[int, list[bytes]] = {}
        self.bounced: dict[int, bytes] = {}
        self.told: dict[int, list[tuple[bytes, bytes]]] = {}  # what, and of whom
        self.log: list[bytes] = []
        self.started: list[tuple[float, bytes]] = []
        self.settles = 0
        self.exited = False
        self.largest_window = 0
        self._identities = 0
        self._unsynced: list[Callable[[], None]] = []  # what a power cut may undo
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
            events.Tell: self._do_tell,
            events.Remove: self._do_remove,
            events.SetRetryTime: self._do_set_retry_time,
            events.Survey: self._do_survey,
            events.Sweep: self._do_sweep,
            events.Exit: self._do_exit,
        }
        self.start()

    # What the outside does.

    def inject(
        self,
        *forward_paths: bytes,
        reverse_path: bytes = b"s@far",
        notices: frozenset[bytes] = frozenset(),
    ) -> int:
        """Accept a message durably, and pull the trigger."""
        number = self._accept(list(forward_paths), reverse_path)
        self.disk[number].notices = notices
        self.tell(events.Arrived())
        return number

    def _accept(self, forward_paths: list[bytes], reverse_path: bytes) -> int:
        self._identities += 1
        number = next(n for n in range(1, 10**9) if n not in self.disk)
        self.disk[number] = Stored(number, self._identities, reverse_path, forward_paths)
        self.accepted[self._identities] = list(forward_paths)
        return number

    def start(self) -> None:
        """Start a qmail-send on what the disk has."""
        settings = Settings({"local": self.slots, "remote": self.slots}, self.lifetime)
        self.core = Core(settings, self.routing)
        self.exited = False
        for scheduled in self._scheduled():
            if self._fails():
                self.core.adopt_more_later(self.now)
            else:
                self.core.adopt(scheduled, self.now)
        self._carry_out(self.core.start(self.now))

    def _scheduled(self) -> list[Scheduled]:
        settled = [stored for stored in self.disk.values() if not stored.is_new]
        times = [{c: stored.retry.get(c, 0) for c in stored.channels} for stored in settled]
        return [
            Scheduled(stored.number, times_.get("local"), times_.get("remote"))
            for stored, times_ in zip(settled, times, strict=True)
        ]

    def crash(self) -> None:
        """Lose all that is not on disk, and start again."""
        self.crashes += 1
        self.steps_to_live = None
        self._pending.clear()
        self._iterators.clear()
        self.start()

    def cut_power(self) -> None:
        """Lose some of what was not synced too."""
        undoings, self._unsynced = self._unsynced, []
        for undo in reversed(undoings):
            if self.chance.random() < 0.5:
                undo()
        self.crash()

    def tell(self, event: events.Event) -> None:
        """Let the core hear of something at once."""
        if not self.exited:
            self._carry_out(self.core.handle([event], self.now))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while not self.exited:
            wake_at = self.core.wake_at()
            moments = [self._pending[0][0]] if self._pending else []
            moments += [wake_at] if wake_at is not None else []
            if not moments or min(moments) > end:
                break
            self.now = max(self.now, min(moments))
            happened = []
            while self._pending and self._pending[0][0] <= self.now:
                happened.append(heapq.heappop(self._pending)[2])
            self._carry_out(self.core.handle(happened, self.now))
        self.now = max(self.now, end)

    def lost_recipients(self) -> list[tuple[int, bytes]]:
        """Return recipients that are neither delivered to, nor bounced, nor queued."""
        lost = []
        queued = {stored.identity: stored for stored in self.disk.values()}
        for identity, forward_paths in self.accepted.items():
            stored = queued.get(identity)
            if stored is not None and stored.is_new:
                continue
            kept = set(self.delivered.get(identity, ())) | _named(self.bounced.get(identity, b""))
            if stored is not None:
                kept |= _waiting(stored)
            lost += [(identity, path) for path in forward_paths if path not in kept]
        return lost

    # What the core wants.

    def _carry_out(self, actions: list[events.Action]) -> None:
        try:
            for action in actions:
                self._ways[type(action)](action)
        except _Crash:
            self.crash()

    def _change(self) -> None:
        """Stand before each change of the disk: a crash may come before any of them."""
        if self.steps_to_live is not None:
            if self.steps_to_live == 0:
                raise _Crash
            self.steps_to_live -= 1

    def _answer(self, event: events.Event, delay: float | None = None) -> None:
        self._order += 1
        delay = self.chance.random() * 0.01 if delay is None else delay
        heapq.heappush(self._pending, (self.now + delay, self._order, event))

    def _fails(self) -> bool:
        return self.chance.random() < self.trouble

    def _is_damage(self) -> bool:
        return self.chance.random() < 0.2

    def _do_log(self, action: events.Log) -> None:
        self.log.append(action.line)

    def _do_start_delivery(self, action: events.StartDelivery) -> None:
        job = action.job
        number = int(job.message_path.partition(b"/")[2])
        self.started.append((self.now, job.forward_path))
        domain = job.forward_path.rpartition(b"@")[2]
        letter = b"Z" if domain in self.silent else bytes([self.chance.choice(self.letters)])
        if letter == b"K":
            identity = self.disk[number].identity
            self.delivered.setdefault(identity, []).append(job.forward_path)
        report = Report(job.slot, letter, b"text\n")
        delay = self.delays.get(domain, self.chance.random() * self.report_delay)
        self._answer(events.Reported(action.channel, report), delay)

    def _do_look_for_new(self, action: events.LookForNew) -> None:
        numbers = [stored.number for stored in self.disk.values() if stored.is_new]
        self._answer(events.Listed(numbers[: action.limit], len(numbers) > action.limit))

    def _do_read_new(self, action: events.ReadNew) -> None:
        if self._fails():
            self._answer(
                events.NewUnreadable(action.number, b"unable to open", damaged=self._is_damage())
            )
            return
        if action.number in self.broken_envelopes:
            self._answer(events.NewUnreadable(action.number, b"trouble reading", damaged=True))
            return
        stored = self.disk[action.number]
        paths = stored.forward_paths[: action.limit]
        complete = len(paths) == len(stored.forward_paths)
        self._answer(
            events.NewMessage(
                *(action.number, 1, stored.identity, stored.reverse_path, 100, paths, complete),
                stored.notices,
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
            self._answer(
                events.SettleFailed(number, b"unable to create", damaged=self._is_damage())
            )
            return
        self.settles += 1
        stored = self.disk[number]
        self._change()
        stored.notes.clear()
        stored.birth = birth
        stored.recipients = recipients
        stored.channels = {recipient.channel for recipient in recipients}
        self._change()
        stored.is_new = False
        self._unsynced.append(lambda: setattr(stored, "is_new", True))
        named = range(len(recipients)) if positions else ()
        self._answer(events.SettleDone(number, named, frozenset(stored.channels)))

    def _do_read_recipients(self, action: events.ReadRecipients) -> None:
        stored = self.disk[action.number]
        key = action.number, action.channel
        if self._fails():
            self._iterators.pop(key, None)
            self._answer(
                events.RecipientsUnreadable(
                    *key, text=b"trouble opening", damaged=self._is_damage()
                )
            )
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
        notices = stored.notices if action.first else frozenset[bytes]()
        self._answer(events.RecipientsRead(*key, settled, window, complete, notices))

    def _do_stop_reading(self, action: events.StopReading) -> None:
        self._iterators.pop((action.number, action.channel), None)

    def _do_mark_done(self, action: events.MarkDone) -> None:
        self._change()
        if self._fails():
            self.disk[action.number].lacks_marks = True
        else:
            self._mark(action)

    def _mark(self, action: events.MarkDone | events.RecordFailure) -> None:
        stored = self.disk[action.number]
        old = stored.recipients[action.position]
        assert old.channel == action.channel
        stored.recipients[action.position] = Recipient(old.channel, old.address, done=True)
        recipients, position = stored.recipients, action.position

        def unmark() -> None:
            recipients[position] = old

        self._unsynced.append(unmark)

    def _do_record_failure(self, action: events.RecordFailure) -> None:
        if self._fails():
            self._answer(events.FailureRecorded(action, written=False))
            return
        self._change()
        self.disk[action.number].notes.append(action.note)
        self._change()
        self._mark(action)
        self._answer(events.FailureRecorded(action, written=True))

    def _do_finish_channel(self, action: events.FinishChannel) -> None:
        if self._fails():
            self._answer(events.ChannelFinished(action.number, action.channel, b"unable"))
            return
        stored = self.disk[action.number]
        done = all(r.done for r in stored.recipients if r.channel == action.channel)
        assert done or stored.lacks_marks
        self._change()
        if action.channel in stored.channels:
            stored.channels.discard(action.channel)
            self._unsynced.append(lambda: stored.channels.add(action.channel))
        self._answer(events.ChannelFinished(action.number, action.channel))

    def _do_bounce(self, action: events.Bounce) -> None:
        if self.bounces_hang:
            return
        if self._fails():
            damaged = self._is_damage()
            self._answer(events.BounceFailed(action.number, b"trouble injecting", damaged))
            return
        stored = self.disk[action.number]
        notes = b"".join(stored.notes) if action.notes is None else action.notes
        if not notes:
            self._answer(events.BounceDone(action.number))
            return
        self._change()
        self.bounced[stored.identity] = self.bounced.get(stored.identity, b"") + notes
        qp = self._bounce_to(stored) if self.bounces_are_mail else 1
        self._change()
        kept, stored.notes = stored.notes, []
        self._unsynced.append(lambda: stored.notes.extend(kept))
        line = b"bounce msg %d qp %d" % (action.number, qp)
        self._answer(events.BounceDone(action.number, line, qp))

    def _do_tell(self, action: events.Tell) -> None:
        self.on_tell(action)
        if self.notices_hang:
            return
        if self.notices_fail or self._fails():
            self._answer(events.Told(action, b"warning: x", again=True))
            return
        self._change()
        what = action.action.name, action.recipient
        self.told.setdefault(self.disk[action.number].identity, []).append(what)
        self._change()
        self._answer(events.Told(action, b"notice"))

    def _bounce_to(self, stored: Stored) -> int:
        """Accept a bounce as a new message; return its qp."""
        if stored.reverse_path == b"#@[]":
            return 0
        path, reverse_path = stored.reverse_path, b""
        if not path:
            path, reverse_path = b"postmaster@here", b"#@[]"
        self._accept([path], reverse_path)
        self._answer(events.Arrived(), 0)
        return self._identities

    def _do_remove(self, action: events.Remove) -> None:
        if self._fails():
            self._answer(events.RemoveDone(action.number, b"unable to unlink"))
            return
        self._change()
        removed = self.disk.pop(action.number)
        self._unsynced.append(lambda: self._bring_back(removed))
        self._answer(events.RemoveDone(action.number))

    def _bring_back(self, removed: Stored) -> None:
        if removed.number not in self.disk:
            self.disk[removed.number] = removed

    def _do_set_retry_time(self, action: events.SetRetryTime) -> None:
        self.disk[action.number].retry[action.channel] = action.time

    def _do_survey(self, _action: events.Survey) -> None:
        if self._fails():
            self._answer(events.Surveyed((), [b"unable to opendir info"], incomplete=True))
        else:
            self._answer(events.Surveyed(self._scheduled(), (), incomplete=False), 0)

    def _do_sweep(self, _action: events.Sweep) -> None:
        self._answer(events.Swept())

    def _do_exit(self, _action: events.Exit) -> None:
        self.exited = True
        self._pending.clear()
        self._iterators.clear()


def _named(notes: bytes) -> set[bytes]:
    """Return the recipients whose failures are told in these notes."""
    return set(re.findall(rb"<([^>]+)>:", notes))


def _waiting(stored: Stored) -> set[bytes]:
    """Return who will still be delivered to, or whose failure will be told."""
    waits = {
        recipient.address
        for recipient in stored.recipients
        if not recipient.done and recipient.channel in stored.channels
    }
    return waits | _named(b"".join(stored.notes))
