"""Deliveries in the core: which recipient gets which slot, and what its report means."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pyqmail.message.delivery_status import DELAYED
from pyqmail.message.envelope import expand_verp
from pyqmail.protocol import spawn
from pyqmail.queue.layout import SPLIT
from pyqmail.send import bounces, events, log
from pyqmail.send.jobs import Delivery, Outcome, State

if TYPE_CHECKING:
    from pyqmail.send.arrivals import Arrivals
    from pyqmail.send.jobs import ChannelState
    from pyqmail.send.ledger import Ledger
    from pyqmail.send.passes import Passes
    from pyqmail.send.telling import Telling

MAX_DELAYS: Final = 1000  # notices that one pass keeps for its end


class Deliveries:
    """Starts deliveries while there are slots, and keeps what is reported of them."""

    def __init__(
        self, ledger: Ledger, passes: Passes, arrivals: Arrivals, telling: Telling
    ) -> None:
        self._ledger = ledger
        self._passes = passes
        self._arrivals = arrivals
        self._telling = telling
        self._last = 0  # the number of a delivery in the log

    def start(self) -> None:
        """Give every free slot to a pass, in turn."""
        for channel in self._ledger.channels.values():
            self._start_on(channel)

    def _start_on(self, channel: ChannelState) -> None:
        ledger = self._ledger
        while (turn := channel.next_turn()) is not None:
            slot, pass_, item = turn
            message = pass_.message
            self._last += 1
            channel.running[slot] = Delivery(self._last, pass_, item, ledger.now)
            pass_.running += 1
            ledger.log(log.starting(self._last, message.number, channel.name, item.address))
            ledger.log_status()
            path = b"%d/%d" % (message.number % SPLIT, message.number)
            reverse_path = expand_verp(message.reverse_path, item.address)
            wishes = b"" if message.wishes is None else message.wishes.words_for(item.address)
            job = spawn.Job(slot, path, reverse_path, item.address, wishes=wishes)
            ledger.emit(events.StartDelivery(channel.name, job))
            self._passes.read_on(pass_)
        for pass_ in channel.take_set_aside():
            self._passes.close_if_finished(pass_)

    def on_reported(self, event: events.Reported) -> None:
        """Take in what a spawner says; it may say anything."""
        channel = self._ledger.channels[event.channel]
        slot = event.report.slot
        if slot not in channel.running:
            self._ledger.log(log.REPORT_OUT_OF_RANGE)
            return
        answered = event.report.letter in (spawn.DELIVERED, spawn.FAILED)
        delivery = channel.release(slot, self._ledger.now, answered=answered)
        outcome = self._judge(delivery, event.report)
        self._ledger.log_status()
        delivery.pass_.running -= 1
        notice = self._telling.notice(delivery, outcome, event.report.text)
        if notice is None:
            self._conclude(delivery, outcome)
        elif notice.action is DELAYED:
            delivery.pass_.delays.append(notice)
            if len(delivery.pass_.delays) >= MAX_DELAYS:
                self._passes.tell_of_delays(delivery.pass_)
            self._conclude(delivery, outcome)
        else:
            delivery.pass_.telling += 1
            self._telling.tell(notice, partial(self._conclude_told, delivery, outcome))

    def _judge(self, delivery: Delivery, report: spawn.Report) -> Outcome:
        """Log what a report says; a failure is noted with the recipient."""
        item, letter, text = delivery.item, report.letter, report.text
        if letter == spawn.DEFERRED and delivery.pass_.dying:
            letter = spawn.FAILED
            text += bounces.GAVE_UP
        if letter == spawn.DELIVERED:
            self._ledger.log(log.delivered(delivery.number, text))
            return Outcome.DONE
        if letter == spawn.FAILED:
            item.note = bounces.note(item.address, text, self._ledger.routing)
            self._ledger.log(log.failed(delivery.number, text))
            return Outcome.FAILED
        if letter == spawn.DEFERRED:
            self._ledger.log(log.deferred(delivery.number, text))
        else:
            self._ledger.log(log.mangled(delivery.number))
        return Outcome.DEFERRED

    def _conclude_told(self, delivery: Delivery, outcome: Outcome) -> None:
        delivery.pass_.telling -= 1
        self._conclude(delivery, outcome)

    def _conclude(self, delivery: Delivery, outcome: Outcome) -> None:
        pass_, item = delivery.pass_, delivery.item
        message = pass_.message
        item.outcome = outcome
        if item.outcome in (Outcome.OPEN, Outcome.DEFERRED):
            pass_.unresolved += 1
        elif message.state is State.SETTLED:
            self._passes.record(pass_, item)
        if message.state is State.NEW:
            self._arrivals.review(message)
        self._passes.close_if_finished(pass_)

    def abandon(self, channel: ChannelState) -> None:
        """Wait no longer for running deliveries; they are repeated after the next start."""
        for slot in list(channel.running):
            delivery = channel.release(slot, self._ledger.now, answered=False)
            self._passes.have_repeated(delivery.pass_)
            delivery.pass_.running -= 1
            self._conclude(delivery, Outcome.OPEN)
