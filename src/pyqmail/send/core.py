"""The scheduler of qmail-send, without input and output.

Events go in, actions come out (`events`); the time is an argument. A new
message is read into memory and its recipients are delivered to at once, while
on disk it stays as it was accepted. If all are finished at the first attempt,
nothing is ever written down. As soon as one is deferred, or the pass takes
long, or there are many recipients, the message is *settled*: reverse path and
recipients are written down, and from then on the store is told of every
outcome. A crash before that only repeats deliveries.

Two rules keep mail safe here. A recipient is forgotten only after its report,
or after the note of its failure is durable or its bounce is queued. And
whatever goes wrong, the message is tried again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyqmail.message.envelope import DOUBLE_BOUNCE, NULL, expand_verp
from pyqmail.protocol import spawn
from pyqmail.queue.layout import SPLIT
from pyqmail.queue.store import CHANNELS, Channel, Recipient
from pyqmail.send import bounces, events, log
from pyqmail.send.jobs import ChannelState, Delivery, Item, Message, Outcome, Pass, State
from pyqmail.send.schedule import Agenda, is_dying, next_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyqmail.queue.store import Scheduled
    from pyqmail.send.routing import Routing

# seconds; those without another word are the original's
PATIENCE: Final = 1  # a first pass that takes longer is written down; design of the fast path
LOOK_INTERVAL: Final = 1500  # between two looks for new messages that nobody announced
SWEEP_INTERVAL: Final = 76431  # from the end of one search for leftovers to the next
TROUBLE_PAUSE: Final = 123  # after a failure of this machine
NOTE_PAUSE: Final = 10  # after a note of a failure could not be written
ASIDE_PAUSE: Final = 1500  # a damaged message is looked at again, a human may have mended it
GRACE: Final = 60  # at exit: for running deliveries; ours, the original waits for ever

MAX_RECIPIENTS_IN_MEMORY: Final = 100  # of a new message; one with more is settled at once
WINDOW_LOW: Final = 50  # recipients of a pass; when fewer wait, more are read
MAX_BACKLOG: Final = 10_000  # numbers of new messages that are remembered from one look


@dataclass(frozen=True, slots=True)
class Settings:
    """What the control files say about scheduling."""

    concurrency: Mapping[Channel, int]
    queuelifetime: int


class Core:
    """The decisions of qmail-send.

    Tell it with `adopt()` what the queue holds, then call `start()`. From then on call
    `handle()` with what happened, and at the latest at `wake_at()`; carry out, in
    order, the actions it returns.
    """

    def __init__(self, settings: Settings, routing: Routing) -> None:
        self.routing = routing
        self.exiting = False
        self.messages: dict[int, Message] = {}
        self.channels = {name: ChannelState(name, settings.concurrency[name]) for name in CHANNELS}
        self._lifetime = settings.queuelifetime
        # New messages that are in memory at once: enough to keep every slot busy.
        self._max_fresh = 100 + 4 * sum(settings.concurrency.values())
        self._fresh: set[int] = set()
        self._now: float = 0
        self._actions: list[events.Action] = []
        self._in_flight = 0
        self._exited = False
        self._grace_ends: float = 0
        self._last_delivery = 0
        self._done = Agenda()  # messages without recipients, to be bounced or removed
        self._patience = Agenda()  # new messages, to be settled
        self._aside = Agenda()  # new messages that could not be read
        self._backlog: deque[int] = deque()  # new messages that are not yet in memory
        self._looking = False
        self._look_again = False
        self._removed_meanwhile: set[int] = set()  # while a listing is being made
        self._next_look: float = 0
        self._next_sweep: float = 0
        self._unwritten: list[tuple[float, events.RecordFailure]] = []
        self._bouncing: set[int] = set()
        self._held: list[tuple[events.NewMessage, set[int]]] = []
        self._handlers: dict[type[events.Event], Callable[[Any], None]] = {
            events.Arrived: self._on_arrived,
            events.Listed: self._on_listed,
            events.NewMessage: self._on_new_message,
            events.NewUnreadable: self._on_new_unreadable,
            events.SettleDone: self._on_settle_done,
            events.SettleFailed: self._on_settle_failed,
            events.RecipientsRead: self._on_recipients_read,
            events.RecipientsUnreadable: self._on_recipients_unreadable,
            events.Reported: self._on_reported,
            events.FailureRecorded: self._on_failure_recorded,
            events.ChannelFinished: self._on_channel_finished,
            events.BounceDone: self._on_bounce_done,
            events.BounceFailed: self._on_bounce_failed,
            events.RemoveDone: self._on_remove_done,
            events.Swept: self._on_swept,
            events.Trouble: self._on_trouble,
            events.RoutingChanged: self._on_routing_changed,
            events.RetryRequested: self._on_retry_requested,
            events.ExitRequested: self._on_exit_requested,
            events.SpawnerLost: self._on_spawner_lost,
            events.CleanerLost: self._on_cleaner_lost,
        }

    # The way in and out.

    def adopt(self, scheduled: Scheduled, now: float) -> None:
        """Take over a settled message that is in the queue at start-up."""
        if scheduled.trouble:
            self._log(log.will_try_again(scheduled.trouble))
        at_least = now + TROUBLE_PAUSE if scheduled.trouble else 0
        message = self.messages[scheduled.number] = Message(scheduled.number, State.SETTLED)
        message.may_have_notes = True
        times = {"local": scheduled.local, "remote": scheduled.remote}
        message.channels = frozenset(name for name in CHANNELS if times[name] is not None)
        for name in message.channels:
            self.channels[name].agenda.put(message.number, max(times[name] or 0, at_least))
        if not message.channels:
            self._done.put(message.number, 0)

    def start(self, now: float) -> list[events.Action]:
        """Begin; return the first actions."""
        self._now = now
        self._log_status()
        self._look_again = True
        return self.handle((), now)

    def handle(self, happened: Iterable[events.Event], now: float) -> list[events.Action]:
        """Take in what happened, and what is due; return what is to be done about it."""
        self._now = now
        for event in happened:
            if isinstance(event, events.Answer):
                self._in_flight -= 1
            self._handlers[type(event)](event)
        self._do_what_is_due()
        if self.exiting and not self._exited:
            self._try_to_exit()
        actions, self._actions = self._actions, []
        return actions

    def wake_at(self) -> float | None:
        """Return the time when `handle()` must be called even if nothing happens."""
        if self.exiting:
            return self._grace_ends if self._now < self._grace_ends and not self._exited else None
        agendas = [self._done, self._patience, self._aside]
        agendas += [channel.agenda for channel in self.channels.values() if channel.may_open]
        times = [self._next_look, self._next_sweep]
        times += [time for agenda in agendas if (time := agenda.first_time()) is not None]
        times += [time for time, _ in self._unwritten]
        return min(times)

    def _emit(self, action: events.Action) -> None:
        if type(action) in events.IN_FLIGHT:
            self._in_flight += 1
        self._actions.append(action)

    def _log(self, line: bytes) -> None:
        self._actions.append(events.Log(line))

    def _log_status(self) -> None:
        used = [(c.name.encode(), len(c.running), c.slots) for c in self.channels.values()]
        self._log(log.status(used, exiting=self.exiting))

    def _do_what_is_due(self) -> None:
        if self.exiting:
            return
        for channel in self.channels.values():
            while channel.may_open and (number := channel.agenda.take_due(self._now)) is not None:
                self._open_pass(number, channel)
        while (number := self._patience.take_due(self._now)) is not None:
            self._settle(self.messages[number])
        while (number := self._done.take_due(self._now)) is not None:
            self._conclude(self.messages[number])
        self._retry_notes()
        self._look()
        if self._next_sweep <= self._now:
            self._next_sweep = self._now + SWEEP_INTERVAL  # and again when it has ended
            self._emit(events.Sweep())
        for channel in self.channels.values():
            self._start_deliveries(channel)

    # New messages.

    def _look(self) -> None:
        """List new messages if there is reason to, and read some of those that are known."""
        while self._aside.take_due(self._now) is not None:
            self._look_again = True
        if self._next_look <= self._now:
            self._look_again = True
            self._next_look = self._now + LOOK_INTERVAL
        if self._look_again and not self._looking and not self._backlog:
            self._look_again = False
            self._looking = True
            # What is in memory is listed too: leave room for it.
            known = len(self._fresh) + len(self._aside)
            self._emit(events.LookForNew(MAX_BACKLOG + known))
        while self._backlog and len(self._fresh) < self._max_fresh:
            number = self._backlog.popleft()
            self.messages[number] = Message(number, State.READING)
            self._fresh.add(number)
            self._emit(events.ReadNew(number, MAX_RECIPIENTS_IN_MEMORY))

    def _on_arrived(self, _event: events.Arrived) -> None:
        self._look_again = True

    def _on_listed(self, event: events.Listed) -> None:
        self._looking = False
        if event.trouble:
            self._log(log.will_try_again(event.trouble))
        self._look_again |= event.more
        removed, self._removed_meanwhile = self._removed_meanwhile, set()
        for number in event.numbers:
            message = self.messages.get(number)
            # The number of a message that is being removed, or just was, may have
            # been given to another already; or the listing is older than the
            # removal. Only a new look can tell.
            if number in removed:
                self._look_again = True
            elif message is None:
                if number not in self._aside:
                    self._backlog.append(number)
            elif message.state is State.REMOVING:
                message.seen_again = True

    def _on_new_message(self, event: events.NewMessage) -> None:
        if self.exiting:
            self._forget(event.number)
            return
        if self._bouncing and event.reverse_path in (NULL, DOUBLE_BOUNCE):
            # This may be the bounce that is being queued. Readers of the log
            # expect it after the lines of the message that it is about.
            self._held.append((event, set(self._bouncing)))
            return
        self._admit(event)

    def _admit(self, event: events.NewMessage) -> None:
        number = event.number
        self._log(log.new_message(number))
        self._log(log.message_info(number, event.size, event.reverse_path, event.qp, event.uid))
        message = self.messages[number]
        message.state = State.NEW
        message.reverse_path = event.reverse_path
        message.birth = int(self._now)
        if not event.complete:
            message.state = State.SETTLING
            self._emit(events.SettleFromEnvelope(number, message.birth, self.routing))
            return
        self._begin_first_pass(message, [self.routing.route(path) for path in event.forward_paths])
        self._patience.put(number, self._now + PATIENCE)
        self._review(message)

    def _begin_first_pass(self, message: Message, recipients: list[Recipient]) -> None:
        message.items = [Item(recipient.channel, recipient.address) for recipient in recipients]
        for item in message.items:
            pass_ = message.passes.get(item.channel)
            if pass_ is None:
                pass_ = message.passes[item.channel] = Pass(message, item.channel, from_disk=False)
                self._set_dates(pass_)
                pass_.complete = True
            pass_.waiting.append(item)
        for name, pass_ in message.passes.items():
            self.channels[name].queue(pass_)

    def _on_new_unreadable(self, event: events.NewUnreadable) -> None:
        self._put_aside(event)

    def _put_aside(self, event: events.NewUnreadable | events.SettleFailed) -> None:
        self._forget(event.number)
        if event.damaged:
            self._log(log.set_aside(event.number, event.text))
        else:
            self._log(log.warning(event.text))
        pause = ASIDE_PAUSE if event.damaged else TROUBLE_PAUSE
        self._aside.put(event.number, self._now + pause)

    def _release_held(self, number: int, qp: int) -> None:
        """Admit the bounce `qp`, and messages that waited only for the bouncing of `number`."""
        held, self._held = self._held, []
        for event, waits_for in held:
            waits_for.discard(number)
            if waits_for and event.qp != qp:
                self._held.append((event, waits_for))
            else:
                self._admit(event)

    def _review(self, message: Message) -> None:
        """Go on with a new message: settle it, conclude it, or wait."""
        if any(pass_.unresolved for pass_ in message.passes.values()):
            if not message.settle_failed:
                self._settle(message)
        elif all(pass_.finished for pass_ in message.passes.values()):
            self._patience.discard(message.number)
            self._conclude(message)

    # Settling.

    def _settle(self, message: Message) -> None:
        self._patience.discard(message.number)
        message.state = State.SETTLING
        recipients = []
        for item in message.items:
            item.recorded = item.outcome is Outcome.DONE
            recipients.append(Recipient(item.channel, item.address, done=item.recorded))
        self._emit(events.Settle(message.number, message.reverse_path, message.birth, recipients))

    def _on_settle_done(self, event: events.SettleDone) -> None:
        message = self.messages[event.number]
        message.state = State.SETTLED
        message.settled = True
        message.channels = event.channels
        self._fresh.discard(event.number)
        for item, position in zip(message.items, event.positions, strict=True):
            item.position = position
            if item.outcome in (Outcome.DONE, Outcome.FAILED) and not item.recorded:
                self._record(message.passes[item.channel], item)
        message.items = []
        for name in event.channels:
            if name in message.passes:
                self._keep_or_postpone(message.passes[name])
            else:
                self.channels[name].agenda.put(event.number, self._now)
        if not event.channels:
            self._done.put(event.number, message.not_before)

    def _keep_or_postpone(self, pass_: Pass) -> None:
        """Let a first pass go on if it has begun; else it waits on disk like any other."""
        if pass_.waiting and not pass_.running and not pass_.recording and not pass_.unresolved:
            pass_.waiting.clear()
            pass_.unresolved = 1
            pass_.retry_at = self._now
        self._close_if_finished(pass_)

    def _on_settle_failed(self, event: events.SettleFailed) -> None:
        message = self.messages[event.number]
        message.state = State.NEW
        message.settle_failed = True
        if message.items:
            self._log(log.will_try_again(event.text))
            self._patience.put(event.number, self._now + TROUBLE_PAUSE)
            self._review(message)
        else:
            # It was to be settled unread, and is read again later.
            self._put_aside(event)

    # Passes over settled messages.

    def _open_pass(self, number: int, channel: ChannelState) -> None:
        message = self.messages[number]
        pass_ = message.passes[channel.name] = Pass(message, channel.name, from_disk=True)
        channel.open_passes += 1
        pass_.reading = True
        self._emit(events.ReadRecipients(number, channel.name, first=True))

    def _set_dates(self, pass_: Pass) -> None:
        now, birth = int(self._now), pass_.message.birth
        pass_.retry_at = next_attempt(birth, now, pass_.channel)
        pass_.dying = is_dying(birth, now, self._lifetime)

    def _on_recipients_read(self, event: events.RecipientsRead) -> None:
        pass_ = self.messages[event.number].passes[event.channel]
        pass_.reading = False
        pass_.complete = event.complete
        if event.settled is not None:
            pass_.message.reverse_path = event.settled.reverse_path
            pass_.message.birth = event.settled.birth
            self._set_dates(pass_)
        for recipient in event.recipients:
            if not recipient.done:
                item = Item(event.channel, recipient.address, recipient.position)
                pass_.waiting.append(item)
        if self.exiting:
            self._break_off(pass_)
            return
        self.channels[event.channel].queue(pass_)
        self._read_on(pass_)
        self._close_if_finished(pass_)

    def _read_on(self, pass_: Pass) -> None:
        if not pass_.complete and not pass_.reading and len(pass_.waiting) < WINDOW_LOW:
            pass_.reading = True
            self._emit(events.ReadRecipients(pass_.message.number, pass_.channel, first=False))

    def _on_recipients_unreadable(self, event: events.RecipientsUnreadable) -> None:
        pass_ = self.messages[event.number].passes[event.channel]
        pass_.reading = False
        pass_.complete = True
        pass_.unresolved += 1
        if event.damaged:
            self._log(log.set_aside(event.number, event.text))
            pass_.retry_at = self._now + ASIDE_PAUSE
        else:
            self._log(log.will_try_again(event.text))
            pass_.retry_at = self._now + TROUBLE_PAUSE
        self._close_if_finished(pass_)

    def _close_if_finished(self, pass_: Pass) -> None:
        """End a pass over a settled message that waits for nothing any more."""
        message = pass_.message
        if message.state is not State.SETTLED or not pass_.finished:
            return
        if message.passes.get(pass_.channel) is not pass_:
            return
        if pass_.unresolved:
            self._end_pass(pass_)
            self.channels[pass_.channel].agenda.put(message.number, pass_.retry_at)
        else:
            pass_.reading = True  # nothing may end it twice while the answer is awaited
            self._emit(events.FinishChannel(message.number, pass_.channel))

    def _end_pass(self, pass_: Pass) -> None:
        del pass_.message.passes[pass_.channel]
        if pass_.from_disk:
            self.channels[pass_.channel].open_passes -= 1

    def _on_channel_finished(self, event: events.ChannelFinished) -> None:
        message = self.messages[event.number]
        self._end_pass(message.passes[event.channel])
        if event.trouble:
            self._log(log.will_try_again(event.trouble))
            retry_at = self._now + TROUBLE_PAUSE
            self.channels[event.channel].agenda.put(event.number, retry_at)
            return
        message.channels -= {event.channel}
        if not message.channels:
            self._done.put(event.number, max(self._now, message.not_before))

    # Deliveries.

    def _start_deliveries(self, channel: ChannelState) -> None:
        while (turn := channel.next_turn()) is not None:
            slot, pass_, item = turn
            message = pass_.message
            self._last_delivery += 1
            channel.running[slot] = Delivery(self._last_delivery, pass_, item)
            pass_.running += 1
            self._log(log.starting(self._last_delivery, message.number, channel.name, item.address))
            self._log_status()
            path = b"%d/%d" % (message.number % SPLIT, message.number)
            reverse_path = expand_verp(message.reverse_path, item.address)
            job = spawn.Job(slot, path, reverse_path, item.address)
            self._emit(events.StartDelivery(channel.name, job))
            self._read_on(pass_)

    def _on_reported(self, event: events.Reported) -> None:
        channel = self.channels[event.channel]
        slot = event.report.slot
        if slot not in channel.running:
            self._log(log.REPORT_OUT_OF_RANGE)
            return
        delivery = channel.release(slot)
        self._judge(delivery, event.report)
        self._log_status()
        self._conclude_delivery(delivery)

    def _judge(self, delivery: Delivery, report: spawn.Report) -> None:
        """Log what a report says, and keep it with the recipient."""
        item, letter, text = delivery.item, report.letter, report.text
        if letter == spawn.DEFERRED and delivery.pass_.dying:
            letter = spawn.FAILED
            text += bounces.GAVE_UP
        if letter == spawn.DELIVERED:
            item.outcome = Outcome.DONE
            self._log(log.delivered(delivery.number, text))
        elif letter == spawn.FAILED:
            item.outcome = Outcome.FAILED
            item.note = bounces.note(item.address, text, self.routing)
            self._log(log.failed(delivery.number, text))
        else:
            item.outcome = Outcome.DEFERRED
            mangled = letter != spawn.DEFERRED
            number = delivery.number
            self._log(log.mangled(number) if mangled else log.deferred(number, text))

    def _conclude_delivery(self, delivery: Delivery) -> None:
        pass_, item = delivery.pass_, delivery.item
        message = pass_.message
        pass_.running -= 1
        if item.outcome in (Outcome.OPEN, Outcome.DEFERRED):
            pass_.unresolved += 1
        elif message.state is State.SETTLED:
            self._record(pass_, item)
        if message.state is State.NEW:
            self._review(message)
        self._close_if_finished(pass_)

    def _record(self, pass_: Pass, item: Item) -> None:
        """Tell the store of a final outcome."""
        number = pass_.message.number
        if item.outcome is Outcome.DONE:
            self._emit(events.MarkDone(number, item.channel, item.position))
            return
        pass_.message.may_have_notes = True
        pass_.recording += 1
        self._emit(events.RecordFailure(number, item.channel, item.position, item.note))

    def _on_failure_recorded(self, event: events.FailureRecorded) -> None:
        if not event.written and not self.exiting:
            self._log(log.NOTE_NOT_WRITTEN)
            self._unwritten.append((self._now + NOTE_PAUSE, event.action))
            return
        self._end_recording(event.action, resolved=event.written)

    def _end_recording(self, action: events.RecordFailure, *, resolved: bool) -> None:
        pass_ = self.messages[action.number].passes[action.channel]
        pass_.recording -= 1
        pass_.unresolved += not resolved
        self._close_if_finished(pass_)

    def _retry_notes(self) -> None:
        due = [action for time, action in self._unwritten if time <= self._now]
        if due:
            self._unwritten = [entry for entry in self._unwritten if entry[0] > self._now]
        for action in due:
            self._emit(action)

    # The end of a message.

    def _conclude(self, message: Message) -> None:
        """Go on with a message whose recipients are all finished."""
        if message.state is State.REMOVING:
            self._emit(events.Remove(message.number))
            return
        notes = None if message.settled else message.notes
        if notes or (message.settled and message.may_have_notes):
            message.state = State.BOUNCING
            self._bouncing.add(message.number)
            reverse_path = None if message.settled else message.reverse_path
            self._emit(events.Bounce(message.number, reverse_path, notes))
        else:
            self._end(message)

    def _on_bounce_done(self, event: events.BounceDone) -> None:
        if event.line:
            self._log(event.line)
        self._bouncing.discard(event.number)
        self._end(self.messages[event.number])
        self._release_held(event.number, event.qp)

    def _on_bounce_failed(self, event: events.BounceFailed) -> None:
        message = self.messages[event.number]
        self._log(event.line)
        self._bouncing.discard(event.number)
        message.not_before = self._now + TROUBLE_PAUSE
        if message.settled:
            message.state = State.SETTLED
            self._done.put(event.number, message.not_before)
        else:
            # The notes are in memory only: make them durable before waiting.
            self._settle(message)
        self._release_held(event.number, 0)

    def _end(self, message: Message) -> None:
        self._log(log.end(message.number))
        message.state = State.REMOVING
        self._emit(events.Remove(message.number))

    def _on_remove_done(self, event: events.RemoveDone) -> None:
        message = self.messages[event.number]
        if event.trouble:
            self._log(log.will_try_again(event.trouble))
            self._done.put(event.number, self._now + TROUBLE_PAUSE)
            return
        if message.seen_again:
            self._look_again = True
        if self._looking:
            self._removed_meanwhile.add(event.number)
        self._forget(event.number)

    def _forget(self, number: int) -> None:
        del self.messages[number]
        self._fresh.discard(number)

    # Signals, and the end.

    def _on_swept(self, _event: events.Swept) -> None:
        self._next_sweep = self._now + SWEEP_INTERVAL

    def _on_trouble(self, event: events.Trouble) -> None:
        self._log(event.line)

    def _on_routing_changed(self, event: events.RoutingChanged) -> None:
        self.routing = event.routing

    def _on_retry_requested(self, _event: events.RetryRequested) -> None:
        self._look_again = True
        self._aside.clear()
        for channel in self.channels.values():
            channel.agenda.make_all_due(self._now)
        for message in self.messages.values():
            for pass_ in message.passes.values():
                # All is reported, only some writing keeps it out of the agenda.
                if not pass_.running and not pass_.waiting and pass_.complete:
                    pass_.retry_at = self._now

    def _on_spawner_lost(self, event: events.SpawnerLost) -> None:
        self._log(log.SPAWNER_LOST)
        self._abandon_deliveries(self.channels[event.channel])
        self._begin_exit()

    def _on_cleaner_lost(self, _event: events.CleanerLost) -> None:
        if not self.exiting:
            self._log(log.CLEANER_LOST)
        self._begin_exit()

    def _on_exit_requested(self, _event: events.ExitRequested) -> None:
        self._begin_exit()

    def _begin_exit(self) -> None:
        """Start nothing any more, and have everything in memory written down."""
        if self.exiting:
            return
        self.exiting = True
        self._grace_ends = self._now + GRACE
        self._backlog.clear()
        for event, _ in self._held:
            self._forget(event.number)
        self._held.clear()
        for channel in self.channels.values():
            for pass_ in channel.drop_ready():
                self._break_off(pass_)
        for message in list(self.messages.values()):
            if message.state is State.NEW:
                self._settle(message)
        unwritten, self._unwritten = self._unwritten, []
        for _, action in unwritten:
            self._end_recording(action, resolved=False)

    def _break_off(self, pass_: Pass) -> None:
        """End a pass early: what has not begun is due at the next start."""
        if pass_.waiting or not pass_.complete:
            pass_.waiting.clear()
            pass_.unresolved += 1
            pass_.retry_at = self._now
        if not pass_.complete:
            pass_.complete = True
            self._emit(events.StopReading(pass_.message.number, pass_.channel))
        self._close_if_finished(pass_)

    def _abandon_deliveries(self, channel: ChannelState) -> None:
        """Wait no longer for running deliveries; they are repeated after the next start."""
        for slot in list(channel.running):
            delivery = channel.release(slot)
            delivery.pass_.retry_at = self._now
            self._conclude_delivery(delivery)

    def _try_to_exit(self) -> None:
        if self._grace_ends <= self._now:
            for channel in self.channels.values():
                self._abandon_deliveries(channel)
        if self._in_flight or any(channel.running for channel in self.channels.values()):
            return
        for channel in self.channels.values():
            for number, time in channel.agenda:
                self._emit(events.SetRetryTime(number, channel.name, int(time)))
        self._exited = True
        self._log(log.EXITING)
        self._emit(events.Exit())
