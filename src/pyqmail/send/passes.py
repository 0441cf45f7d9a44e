"""The core's dealings with settled messages: pass after pass until everybody is done.

A pass is opened when the agenda of its channel says so. It reads recipients
window by window, has failures written down, and ends in one of two ways: the
channel of the message is finished, or it goes back into the agenda. Senders are
told of delay at the end: a pass that is broken off is repeated after the next
start, and would tell them again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pyqmail.send import events, log
from pyqmail.send.jobs import Item, Outcome, Pass, State
from pyqmail.send.ledger import ASIDE_PAUSE, SLEEP, TROUBLE_PAUSE
from pyqmail.send.schedule import DELAY_NOTICE, is_dying, is_late, next_attempt

if TYPE_CHECKING:
    from pyqmail.queue.store import Channel
    from pyqmail.send.jobs import ChannelState, Message
    from pyqmail.send.ledger import Ledger
    from pyqmail.send.telling import Telling

WINDOW_LOW: Final = 50  # recipients of a pass; when fewer wait, more are read


class Passes:
    """Opens, feeds and ends passes."""

    def __init__(self, ledger: Ledger, telling: Telling, lifetime: int) -> None:
        self._ledger = ledger
        self._telling = telling
        self._lifetime = lifetime
        self._unwritten: list[tuple[float, events.RecordFailure]] = []  # notes, and when to retry

    # What is due.

    def times(self) -> list[float]:
        """Return when there will be something to do."""
        agendas = [c.agenda for c in self._ledger.channels.values() if c.may_open]
        times = [time for agenda in agendas if (time := agenda.first_time()) is not None]
        return times + [time for time, _ in self._unwritten]

    def open_due(self) -> None:
        """Open the passes whose time has come, as many as there is room for."""
        now = self._ledger.now
        for channel in self._ledger.channels.values():
            while channel.may_open and (number := channel.agenda.take_due(now)) is not None:
                self._open(number, channel)

    def write_due_notes(self) -> None:
        """Try again to write down the failures that could not be written."""
        now = self._ledger.now
        due = [action for time, action in self._unwritten if time <= now]
        if due:
            self._unwritten = [entry for entry in self._unwritten if entry[0] > now]
        for action in due:
            self._ledger.emit(action)

    # Reading.

    def _open(self, number: int, channel: ChannelState) -> None:
        message = self._ledger.messages[number]
        pass_ = message.passes[channel.name] = Pass(message, channel.name, from_disk=True)
        channel.open_passes += 1
        pass_.reading = True
        self._ledger.emit(events.ReadRecipients(number, channel.name, first=True))

    def set_dates(self, pass_: Pass) -> None:
        """Decide, as the pass begins, when the next one is due and whether there will be one."""
        now, birth = int(self._ledger.now), pass_.message.birth
        pass_.retry_at = next_attempt(birth, now, pass_.channel)
        pass_.dying = is_dying(birth, now, self._lifetime)
        pass_.late = self._is_first_when_late(pass_)

    def _is_first_when_late(self, pass_: Pass) -> bool:
        """Is this the first pass that begins when the message is late?"""
        message, channel = pass_.message, pass_.channel
        if not is_late(message.birth, self._ledger.now) or channel in message.late_channels:
            return False
        message.late_channels.add(channel)
        # Where its next time lies says whether an earlier run has had that pass.
        return message.due_at_start.get(channel, 0) < _first_after_late(message, channel)

    def due_again(self, message: Message, channel: Channel) -> float:
        """Return the time to be kept for a message that is due at the next start.

        It is now, or so long ago that the next run sees that nobody was told of delay.
        """
        now = self._ledger.now
        if not message.birth or channel in message.late_channels:
            return now
        return min(now, _first_after_late(message, channel) - 1)

    def on_recipients_read(self, event: events.RecipientsRead) -> None:
        """Let the recipients of a window take part in the distribution of slots."""
        pass_ = self._ledger.messages[event.number].passes[event.channel]
        pass_.reading = False
        pass_.complete = event.complete
        if event.settled is not None:
            pass_.message.reverse_path = event.settled.reverse_path
            pass_.message.birth = event.settled.birth
            pass_.message.notices, pass_.message.wishes = event.notices, event.wishes
            self.set_dates(pass_)
        for recipient in event.recipients:
            if not recipient.done:
                item = Item(event.channel, recipient.address, recipient.position)
                pass_.waiting.append(item)
        if self._ledger.exiting:
            self.break_off(pass_)
            return
        self._ledger.channels[event.channel].queue(pass_)
        self.read_on(pass_)
        self.close_if_finished(pass_)

    def read_on(self, pass_: Pass) -> None:
        """Have more recipients read if few are left."""
        if not pass_.complete and not pass_.reading and len(pass_.waiting) < WINDOW_LOW:
            pass_.reading = True
            number, channel = pass_.message.number, pass_.channel
            self._ledger.emit(events.ReadRecipients(number, channel, first=False))

    def on_recipients_unreadable(self, event: events.RecipientsUnreadable) -> None:
        """End a pass for now; those that it has read already are delivered to."""
        pass_ = self._ledger.messages[event.number].passes[event.channel]
        pass_.reading = False
        pass_.complete = True
        pass_.unresolved += 1
        if event.damaged:
            self._ledger.log(log.set_aside(event.number, event.text))
            pass_.retry_at = self._ledger.now + ASIDE_PAUSE
        else:
            self._ledger.log(log.will_try_again(event.text))
            pass_.retry_at = self._ledger.now + TROUBLE_PAUSE
        self.close_if_finished(pass_)

    # Outcomes.

    def record(self, pass_: Pass, item: Item) -> None:
        """Tell the store of a final outcome."""
        number = pass_.message.number
        if item.outcome is Outcome.DONE:
            self._ledger.emit(events.MarkDone(number, item.channel, item.position))
            return
        pass_.message.may_have_notes = True
        pass_.recording += 1
        action = events.RecordFailure(number, item.channel, item.position, item.note)
        self._ledger.emit(action)

    def on_failure_recorded(self, event: events.FailureRecorded) -> None:
        """Go on once the failure is on disk; until then, try to write it."""
        if not event.written and not self._ledger.exiting:
            self._ledger.log(log.NOTE_NOT_WRITTEN)
            self._unwritten.append((self._ledger.now + SLEEP, event.action))
            return
        self._end_recording(event.action, resolved=event.written)

    def _end_recording(self, action: events.RecordFailure, *, resolved: bool) -> None:
        pass_ = self._ledger.messages[action.number].passes[action.channel]
        pass_.recording -= 1
        pass_.unresolved += not resolved
        self.close_if_finished(pass_)

    # The end of a pass.

    def close_if_finished(self, pass_: Pass) -> None:
        """End a pass over a settled message that waits for nothing, or only for a destination."""
        message = pass_.message
        if message.state is not State.SETTLED or pass_.busy:
            return
        if message.passes.get(pass_.channel) is not pass_:
            return
        aside = self._ledger.channels[pass_.channel].is_aside(pass_)
        if not (aside or pass_.finished):
            return
        if pass_.delays and not pass_.broken_off:
            pass_.told = True
            self.tell_of_delays(pass_)
        elif aside:
            self._end_aside(pass_)
        elif pass_.unresolved:
            self._end(pass_)
            agenda = self._ledger.channels[pass_.channel].agenda
            agenda.put(message.number, pass_.retry_at)
        else:
            pass_.reading = True  # nothing may end it twice while the answer is awaited
            self._ledger.emit(events.FinishChannel(message.number, pass_.channel))

    def tell_of_delays(self, pass_: Pass) -> None:
        """Have the notices of delay queued; the pass does not end before they are."""
        delays, pass_.delays = pass_.delays, []
        pass_.telling += len(delays)
        for notice in delays:
            self._telling.tell(notice, partial(self._on_told_of_delay, pass_))

    def _on_told_of_delay(self, pass_: Pass) -> None:
        pass_.telling -= 1
        self.close_if_finished(pass_)

    def _end_aside(self, pass_: Pass) -> None:
        """End a pass all of whose recipients wait for room; its message waits without it.

        If others of its recipients are to be tried again later, so are these:
        room that comes sooner must not bring those forward.
        """
        channel = self._ledger.channels[pass_.channel]
        channel.wait_without_pass(pass_, in_line=not pass_.unresolved)
        if pass_.late and not pass_.unresolved:
            pass_.message.late_channels.discard(pass_.channel)  # nobody was delayed by it
        pass_.waiting.clear()
        if not pass_.complete:
            pass_.complete = True
            self._ledger.emit(events.StopReading(pass_.message.number, pass_.channel))
        self._end(pass_)
        if pass_.unresolved:
            channel.agenda.put(pass_.message.number, pass_.retry_at)

    def keep_or_postpone(self, pass_: Pass) -> None:
        """Let a first pass go on if it has begun; else it waits on disk like any other."""
        aside = self._ledger.channels[pass_.channel].is_aside(pass_)
        if pass_.waiting and not aside and not pass_.busy and not pass_.unresolved:
            pass_.waiting.clear()
            pass_.unresolved = 1
            pass_.retry_at = self._ledger.now
        self.close_if_finished(pass_)

    def on_channel_finished(self, event: events.ChannelFinished) -> None:
        """Go on to the end of the message when its last channel is finished."""
        message = self._ledger.messages[event.number]
        self._end(message.passes[event.channel])
        if event.trouble:
            self._ledger.log(log.will_try_again(event.trouble))
            retry_at = self._ledger.now + TROUBLE_PAUSE
            self._ledger.channels[event.channel].agenda.put(event.number, retry_at)
            return
        message.channels -= {event.channel}
        if not message.channels:
            self._ledger.done.put(event.number, max(self._ledger.now, message.not_before))

    def _end(self, pass_: Pass) -> None:
        del pass_.message.passes[pass_.channel]
        if not pass_.message.passes:
            pass_.message.wishes = None  # many recipients may have many; the next pass reads them
        channel = self._ledger.channels[pass_.channel]
        channel.lose_pass(pass_)
        if pass_.from_disk:
            channel.open_passes -= 1

    # Signals.

    def make_all_due(self) -> None:
        """Forget all pauses."""
        for channel in self._ledger.channels.values():
            channel.agenda.make_all_due(self._ledger.now)
        for message in self._ledger.messages.values():
            for pass_ in message.passes.values():
                # All is reported, only some writing keeps it out of the agenda.
                if not pass_.running and not pass_.waiting and pass_.complete:
                    pass_.retry_at = self._ledger.now

    def break_off_waiting(self) -> None:
        """At exit: start nothing that has not begun."""
        for channel in self._ledger.channels.values():
            for pass_ in channel.drop_ready():
                self.break_off(pass_)

    def break_off(self, pass_: Pass) -> None:
        """End a pass early: what has not begun is due at the next start."""
        if pass_.waiting or not pass_.complete:
            pass_.waiting.clear()
            pass_.unresolved += 1
            self.have_repeated(pass_)
        if not pass_.complete:
            pass_.complete = True
            self._ledger.emit(events.StopReading(pass_.message.number, pass_.channel))
        self.close_if_finished(pass_)

    def have_repeated(self, pass_: Pass) -> None:
        """Make a pass due at the next start, which tells of delay if this one was to do so."""
        if pass_.told:
            return  # it has come to its end, and its next time is set
        pass_.broken_off = True
        if pass_.late:
            pass_.message.late_channels.discard(pass_.channel)
        pass_.retry_at = self.due_again(pass_.message, pass_.channel)

    def give_up_unwritten(self) -> None:
        """At exit: deliver again after the next start where a failure could not be written."""
        unwritten, self._unwritten = self._unwritten, []
        for _, action in unwritten:
            self._end_recording(action, resolved=False)


def _first_after_late(message: Message, channel: Channel) -> int:
    """Return when the first attempt is due after one that has told of delay."""
    return next_attempt(message.birth, message.birth + DELAY_NOTICE, channel)
