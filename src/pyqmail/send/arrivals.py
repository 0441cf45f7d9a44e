"""New messages in the core: finding them, their first pass in memory, settling them.

What is delivered to everybody at its first attempt is never written down. A
message with a deferral, with many recipients, or whose first pass lasts is
settled, and is the business of `passes` from then on.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pyqmail.message.envelope import DOUBLE_BOUNCE, NULL
from pyqmail.queue.store import Recipient
from pyqmail.send import events, log
from pyqmail.send.jobs import Item, Message, Outcome, Pass, State
from pyqmail.send.ledger import ASIDE_PAUSE, SLEEP, TROUBLE_PAUSE
from pyqmail.send.schedule import Agenda

if TYPE_CHECKING:
    from pyqmail.send.endings import Endings
    from pyqmail.send.ledger import Ledger
    from pyqmail.send.passes import Passes

# seconds
PATIENCE: Final = 1  # a first pass that takes longer is written down; design of the fast path
LOOK_INTERVAL: Final = 1500  # between two looks for what nobody announced; the original's

MAX_RECIPIENTS_IN_MEMORY: Final = 100  # of a new message; one with more is settled at once
MAX_BACKLOG: Final = 10_000  # numbers of new messages that are remembered from one look


class Arrivals:
    """Takes in new messages, until they end or are settled."""

    def __init__(self, ledger: Ledger, passes: Passes, endings: Endings) -> None:
        self._ledger = ledger
        self._passes = passes
        self._endings = endings
        # New messages that are in memory at once: enough to keep every slot busy, and for a
        # second, PATIENCE, those that wait for a destination which has no room.
        self._max_fresh = 1000 + 4 * sum(channel.slots for channel in ledger.channels.values())
        self._fresh: set[int] = set()
        self._backlog: deque[int] = deque()  # those that are not yet in memory
        self._patience = Agenda()  # those in memory, to be settled
        self._aside = Agenda()  # those that could not be read
        self._held: list[tuple[events.NewMessage, set[int]]] = []  # and whose bouncing it waits for
        self._looking = False
        self._look_again = True
        self._next_look: float = 0
        self._removed_meanwhile: set[int] = set()  # while a listing is being made

    # What is due.

    def times(self) -> list[float]:
        """Return when there will be something to do."""
        agendas = (self._patience, self._aside)
        times = [time for agenda in agendas if (time := agenda.first_time()) is not None]
        return [self._next_look, *times]

    def settle_due(self) -> None:
        """Settle what has been in memory for long enough."""
        while (number := self._patience.take_due(self._ledger.now)) is not None:
            self.settle(self._ledger.messages[number])

    def look(self) -> None:
        """List new messages if there is reason to, and read some of those that are known."""
        now = self._ledger.now
        while self._aside.take_due(now) is not None:
            self._look_again = True
        # If somebody has set the clock back, the next look is as far away as ever, not farther.
        self._next_look = min(self._next_look, now + LOOK_INTERVAL)
        if self._next_look <= now:
            self._look_again = True
            self._next_look = now + LOOK_INTERVAL
        if self._look_again and not self._looking and not self._backlog:
            self._look_again = False
            self._looking = True
            # What is in memory is listed too: leave room for it.
            known = len(self._fresh) + len(self._aside)
            self._ledger.emit(events.LookForNew(MAX_BACKLOG + known))
        while self._backlog and len(self._fresh) < self._max_fresh:
            number = self._backlog.popleft()
            self._ledger.messages[number] = Message(number, State.READING)
            self._fresh.add(number)
            self._ledger.emit(events.ReadNew(number, MAX_RECIPIENTS_IN_MEMORY))

    # Finding and reading.

    def on_arrived(self, _event: events.Arrived) -> None:
        """Look soon: somebody has pulled the trigger."""
        self._look_again = True

    def look_at_all_again(self) -> None:
        """Look soon, also at what was set aside."""
        self._look_again = True
        self._aside.clear()

    def on_listed(self, event: events.Listed) -> None:
        """Remember which messages are new."""
        self._looking = False
        if event.trouble:
            self._ledger.log(log.unreadable(event.trouble))
            self._next_look = min(self._next_look, self._ledger.now + SLEEP)
        self._look_again |= event.more
        removed, self._removed_meanwhile = self._removed_meanwhile, set()
        for number in event.numbers:
            message = self._ledger.messages.get(number)
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

    def on_new_message(self, event: events.NewMessage) -> None:
        """Begin with a message whose envelope is read, or hold it back for a moment."""
        if self._ledger.exiting:
            self._forget(event.number)
            return
        bouncing = self._endings.bouncing
        if bouncing and event.reverse_path in (NULL, DOUBLE_BOUNCE):
            # This may be the bounce that is being queued. Readers of the log
            # expect it after the lines of the message that it is about.
            self._held.append((event, set(bouncing)))
            return
        self._admit(event)

    def release_held(self, number: int, qp: int) -> None:
        """Admit the bounce `qp`, and messages that waited only for the bouncing of `number`."""
        held, self._held = self._held, []
        for event, waits_for in held:
            waits_for.discard(number)
            if waits_for and event.qp != qp:
                self._held.append((event, waits_for))
            else:
                self._admit(event)

    def on_new_unreadable(self, event: events.NewUnreadable) -> None:
        """Leave a message where it is, and look at it again later."""
        self._put_aside(event)

    def _put_aside(self, event: events.NewUnreadable | events.SettleFailed) -> None:
        self._forget(event.number)
        if event.damaged:
            self._ledger.log(log.set_aside(event.number, event.text))
        else:
            self._ledger.log(log.warning(event.text))
        pause = ASIDE_PAUSE if event.damaged else TROUBLE_PAUSE
        self._aside.put(event.number, self._ledger.now + pause)

    # The first pass.

    def _admit(self, event: events.NewMessage) -> None:
        number = event.number
        self._ledger.log(log.new_message(number))
        self._ledger.log(
            log.message_info(number, event.size, event.reverse_path, event.qp, event.uid)
        )
        message = self._ledger.messages[number]
        message.state = State.NEW
        message.reverse_path = event.reverse_path
        message.birth = int(self._ledger.now)
        message.notices, message.wishes = event.notices, event.wishes
        routing = self._ledger.routing
        if not event.complete:
            message.state = State.SETTLING
            self._ledger.emit(events.SettleFromEnvelope(number, message.birth, routing))
            return
        self._begin_first_pass(message, [routing.route(path) for path in event.forward_paths])
        self._patience.put(number, self._ledger.now + PATIENCE)
        self.review(message)

    def _begin_first_pass(self, message: Message, recipients: list[Recipient]) -> None:
        message.items = [Item(recipient.channel, recipient.address) for recipient in recipients]
        for item in message.items:
            pass_ = message.passes.get(item.channel)
            if pass_ is None:
                pass_ = message.passes[item.channel] = Pass(message, item.channel, from_disk=False)
                self._passes.set_dates(pass_)
                pass_.complete = True
            pass_.waiting.append(item)
        for name, pass_ in message.passes.items():
            self._ledger.channels[name].queue(pass_)

    def review(self, message: Message) -> None:
        """Go on with a message in its first pass: settle it, conclude it, or wait."""
        if any(pass_.unresolved for pass_ in message.passes.values()):
            if not message.settle_failed:
                self.settle(message)
        elif all(pass_.finished for pass_ in message.passes.values()):
            self._patience.discard(message.number)
            self._endings.conclude(message)

    # Settling.

    def settle(self, message: Message) -> None:
        """Have a message written down, with all that is known of its recipients."""
        self._patience.discard(message.number)
        message.state = State.SETTLING
        recipients = []
        for item in message.items:
            item.recorded = item.outcome is Outcome.DONE
            recipients.append(Recipient(item.channel, item.address, done=item.recorded))
        number, birth = message.number, message.birth
        self._ledger.emit(events.Settle(number, message.reverse_path, birth, recipients))

    def on_settle_done(self, event: events.SettleDone) -> None:
        """Write down what was reported meanwhile; its passes go on as those of any other."""
        message = self._ledger.messages[event.number]
        message.state = State.SETTLED
        message.settled = True
        message.channels = event.channels
        self._fresh.discard(event.number)
        for item, position in zip(message.items, event.positions, strict=True):
            item.position = position
            if item.outcome in (Outcome.DONE, Outcome.FAILED) and not item.recorded:
                self._passes.record(message.passes[item.channel], item)
        message.items = []
        for name in event.channels:
            if name in message.passes:
                self._passes.keep_or_postpone(message.passes[name])
            else:
                self._ledger.channels[name].agenda.put(event.number, self._ledger.now)
        if not event.channels:
            self._ledger.done.put(event.number, message.not_before)

    def on_settle_failed(self, event: events.SettleFailed) -> None:
        """Go on in memory, and try again later."""
        message = self._ledger.messages[event.number]
        message.state = State.NEW
        message.settle_failed = True
        if message.items:
            self._ledger.log(log.will_try_again(event.text))
            self._patience.put(event.number, self._ledger.now + TROUBLE_PAUSE)
            # If its bounce has just failed, to try that again at once would never end.
            if message.not_before <= self._ledger.now:
                self.review(message)
        else:
            # It was to be settled unread, and is read again later.
            self._put_aside(event)

    # The end.

    def forget_removed(self, number: int) -> None:
        """Forget a message that is removed; its number may be another's already."""
        if self._ledger.messages[number].seen_again:
            self._look_again = True
        if self._looking:
            self._removed_meanwhile.add(number)
        self._forget(number)

    def _forget(self, number: int) -> None:
        del self._ledger.messages[number]
        self._fresh.discard(number)

    def stop(self) -> None:
        """At exit: look at nothing new any more, and settle what is in memory."""
        self._backlog.clear()
        for event, _ in self._held:
            self._forget(event.number)
        self._held.clear()
        for message in list(self._ledger.messages.values()):
            if message.state is State.NEW:
                self.settle(message)
