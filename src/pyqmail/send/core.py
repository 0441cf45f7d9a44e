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

This module gives each event to the part whose business it is, and knows
signals and the end. The parts, in the order of a message's life: `arrivals`,
`deliveries`, `telling`, `passes`, `endings`; what they share is the `ledger`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pyqmail.queue.store import CHANNELS, Channel
from pyqmail.send import events, log
from pyqmail.send.arrivals import Arrivals
from pyqmail.send.deliveries import Deliveries
from pyqmail.send.endings import Endings
from pyqmail.send.jobs import Message, State
from pyqmail.send.ledger import TROUBLE_PAUSE, Ledger
from pyqmail.send.passes import Passes
from pyqmail.send.telling import Telling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyqmail.queue.store import Scheduled
    from pyqmail.send.routing import Routing

# seconds
SWEEP_INTERVAL: Final = 76431  # from the end of a search for leftovers to the next; the original's
GRACE: Final = 60  # at exit: for running deliveries and bounces; the original waits for ever


@dataclass(frozen=True, slots=True)
class Settings:
    """What the control files say about scheduling."""

    concurrency: Mapping[Channel, int]
    queuelifetime: int

    def within(self, slots: Mapping[Channel, int]) -> Settings:
        """Return the same for spawners that have so many slots."""
        concurrency = {name: min(self.concurrency[name], slots[name]) for name in CHANNELS}
        return replace(self, concurrency=concurrency)


class Core:
    """The decisions of qmail-send.

    Tell it with `adopt()` what the queue holds, and with `adopt_more_later()` if some
    of it could not be read; then call `start()`. From then on call `handle()` with what
    happened, and at the latest at `wake_at()`; carry out, in order, the actions it returns.
    """

    def __init__(self, settings: Settings, routing: Routing) -> None:
        self._ledger = ledger = Ledger(settings.concurrency, routing)
        self._endings = Endings(ledger)
        self._telling = Telling(ledger, settings.queuelifetime)
        self._passes = Passes(ledger, self._telling, settings.queuelifetime)
        self._arrivals = Arrivals(ledger, self._passes, self._endings)
        self._deliveries = Deliveries(ledger, self._passes, self._arrivals, self._telling)
        self._next_sweep: float = 0
        self._next_survey: float | None = None
        self._grace_ends: float = 0
        self._exited = False
        self._handlers: dict[type[events.Event], Callable[[Any], None]] = {
            events.Arrived: self._arrivals.on_arrived,
            events.Listed: self._arrivals.on_listed,
            events.NewMessage: self._arrivals.on_new_message,
            events.NewUnreadable: self._arrivals.on_new_unreadable,
            events.SettleDone: self._arrivals.on_settle_done,
            events.SettleFailed: self._arrivals.on_settle_failed,
            events.Reported: self._deliveries.on_reported,
            events.RecipientsRead: self._passes.on_recipients_read,
            events.RecipientsUnreadable: self._passes.on_recipients_unreadable,
            events.FailureRecorded: self._passes.on_failure_recorded,
            events.ChannelFinished: self._passes.on_channel_finished,
            events.BounceDone: self._on_bounce_done,
            events.BounceFailed: self._on_bounce_failed,
            events.Told: self._telling.on_told,
            events.RemoveDone: self._on_remove_done,
            events.Surveyed: self._on_surveyed,
            events.Swept: self._on_swept,
            events.Trouble: self._on_trouble,
            events.RoutingChanged: self._on_routing_changed,
            events.RetryRequested: self._on_retry_requested,
            events.ExitRequested: self._on_exit_requested,
            events.SpawnerLost: self._on_spawner_lost,
            events.CleanerLost: self._on_cleaner_lost,
        }

    @property
    def routing(self) -> Routing:
        """The rules that new messages are routed by."""
        return self._ledger.routing

    @property
    def messages(self) -> Mapping[int, Message]:
        """Every message that is known, by its number."""
        return self._ledger.messages

    # The way in and out.

    def adopt(self, scheduled: Scheduled, now: float) -> None:
        """Take over a settled message that is in the queue from an earlier run."""
        ledger = self._ledger
        if scheduled.trouble:
            ledger.log(log.will_try_again(scheduled.trouble))
        at_least = now + TROUBLE_PAUSE if scheduled.trouble else 0
        message = ledger.messages[scheduled.number] = Message(scheduled.number, State.SETTLED)
        message.may_have_notes = True
        times = {"local": scheduled.local, "remote": scheduled.remote}
        message.channels = frozenset(name for name in CHANNELS if times[name] is not None)
        message.due_at_start = {name: times[name] or 0 for name in message.channels}
        for name in message.channels:
            ledger.channels[name].agenda.put(message.number, max(times[name] or 0, at_least))
        if not message.channels:
            ledger.done.put(message.number, 0)

    def adopt_more_later(self, now: float) -> None:
        """Have the queue read once more: there may be messages that nobody knows of yet."""
        self._next_survey = now + TROUBLE_PAUSE

    def start(self, now: float) -> list[events.Action]:
        """Begin; return the first actions."""
        self._ledger.now = now
        self._ledger.log_status()
        return self.handle((), now)

    def handle(self, happened: Iterable[events.Event], now: float) -> list[events.Action]:
        """Take in what happened, and what is due; return what is to be done about it."""
        ledger = self._ledger
        ledger.now = now
        for event in happened:
            if isinstance(event, events.Answer):
                ledger.in_flight -= 1
            self._handlers[type(event)](event)
        if not ledger.exiting:
            self._do_what_is_due()
        elif not self._exited:
            self._try_to_exit()
        return ledger.take_actions()

    def wake_at(self) -> float | None:
        """Return the time when `handle()` must be called even if nothing happens."""
        if self._ledger.exiting:
            waits_for_grace = self._ledger.now < self._grace_ends and not self._exited
            return self._grace_ends if waits_for_grace else None
        parts = (self._arrivals, self._passes, self._telling)
        times = [self._next_sweep, *(time for part in parts for time in part.times())]
        optional = (self._ledger.done.first_time(), self._next_survey)
        return min(*times, *(time for time in optional if time is not None))

    def _do_what_is_due(self) -> None:
        self._passes.open_due()
        self._arrivals.settle_due()
        self._endings.conclude_due()
        self._passes.write_due_notes()
        self._telling.tell_due()
        self._arrivals.look()
        self._survey_and_sweep()
        self._deliveries.start()

    def _survey_and_sweep(self) -> None:
        now = self._ledger.now
        if self._next_survey is not None and self._next_survey <= now:
            self._next_survey = None
            self._ledger.emit(events.Survey())
        if self._next_sweep <= now:
            self._next_sweep = now + SWEEP_INTERVAL  # and again when it has ended
            self._ledger.emit(events.Sweep())

    # What concerns more than one part.

    def _on_bounce_done(self, event: events.BounceDone) -> None:
        self._endings.on_bounce_done(event)
        self._arrivals.release_held(event.number, event.qp)

    def _on_bounce_failed(self, event: events.BounceFailed) -> None:
        self._endings.on_bounce_failed(event)
        message = self._ledger.messages[event.number]
        if not message.settled:
            # The notes are in memory only: make them durable before waiting.
            self._arrivals.settle(message)
        self._arrivals.release_held(event.number, 0)

    def _on_remove_done(self, event: events.RemoveDone) -> None:
        if event.trouble:
            self._endings.postpone_removal(event)
        else:
            self._arrivals.forget_removed(event.number)

    def _on_surveyed(self, event: events.Surveyed) -> None:
        for line in event.troubles:
            self._ledger.log(line)
        if event.incomplete:
            self.adopt_more_later(self._ledger.now)
        for scheduled in event.scheduled:
            # What is known was settled by us, or adopted; its times are in memory.
            if scheduled.number not in self._ledger.messages:
                self.adopt(scheduled, self._ledger.now)

    def _on_swept(self, _event: events.Swept) -> None:
        self._next_sweep = self._ledger.now + SWEEP_INTERVAL

    def _on_trouble(self, event: events.Trouble) -> None:
        self._ledger.log(event.line)

    # Signals, and the end.

    def _on_routing_changed(self, event: events.RoutingChanged) -> None:
        self._ledger.routing = event.routing

    def _on_retry_requested(self, _event: events.RetryRequested) -> None:
        self._arrivals.look_at_all_again()
        self._passes.make_all_due()

    def _on_spawner_lost(self, event: events.SpawnerLost) -> None:
        self._ledger.log(log.SPAWNER_LOST)
        self._deliveries.abandon(self._ledger.channels[event.channel])
        self._begin_exit()

    def _on_cleaner_lost(self, _event: events.CleanerLost) -> None:
        if not self._ledger.exiting:
            self._ledger.log(log.CLEANER_LOST)
        self._begin_exit()

    def _on_exit_requested(self, _event: events.ExitRequested) -> None:
        self._begin_exit()

    def _begin_exit(self) -> None:
        """Start nothing any more, and have everything in memory written down."""
        if self._ledger.exiting:
            return
        self._ledger.exiting = True
        self._grace_ends = self._ledger.now + GRACE
        self._passes.break_off_waiting()
        self._arrivals.stop()
        self._passes.give_up_unwritten()
        self._telling.give_up_postponed()

    def _try_to_exit(self) -> None:
        awaited = self._ledger.in_flight
        if self._grace_ends <= self._ledger.now:
            for channel in self._ledger.channels.values():
                self._deliveries.abandon(channel)
            self._telling.give_up()
            # A bounce goes through a program that may hang; at worst it is sent twice.
            hanging = len(self._endings.bouncing) + len(self._telling.under_way)
            awaited = self._ledger.in_flight - hanging
        if awaited or any(channel.running for channel in self._ledger.channels.values()):
            return
        for channel in self._ledger.channels.values():
            times = dict(channel.agenda)
            times |= dict.fromkeys(channel.waiting_without_pass(), 0)
            for number, time in times.items():
                # What may go on at once has no time; it is due from now on.
                message = self._ledger.messages[number]
                due = int(time or self._passes.due_again(message, channel.name))
                self._ledger.emit(events.SetRetryTime(number, channel.name, due))
        self._exited = True
        self._ledger.log(log.EXITING)
        self._ledger.emit(events.Exit())
