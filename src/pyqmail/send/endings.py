"""The end of a message in the core: its sender is told of failures, then it is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.send import events, log
from pyqmail.send.jobs import State
from pyqmail.send.ledger import ASIDE_PAUSE, TROUBLE_PAUSE

if TYPE_CHECKING:
    from pyqmail.send.jobs import Message
    from pyqmail.send.ledger import Ledger


class Endings:
    """Bounces and removes messages whose recipients are all finished."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.bouncing: set[int] = set()  # messages whose senders are being told

    def conclude_due(self) -> None:
        """Go on with the messages whose time has come."""
        while (number := self._ledger.done.take_due(self._ledger.now)) is not None:
            self.conclude(self._ledger.messages[number])

    def conclude(self, message: Message) -> None:
        """Tell the sender if there is something to tell; then, or else, remove the message."""
        if message.state is State.REMOVING:
            self._ledger.emit(events.Remove(message.number))
            return
        notes = None if message.settled else message.notes
        if notes or (message.settled and message.may_have_notes):
            message.state = State.BOUNCING
            self.bouncing.add(message.number)
            reverse_path = None if message.settled else message.reverse_path
            self._ledger.emit(events.Bounce(message.number, reverse_path, notes))
        else:
            self._end(message)

    def on_bounce_done(self, event: events.BounceDone) -> None:
        """Remove a message: its sender knows, or nobody is to be told."""
        if event.line:
            self._ledger.log(event.line)
        self.bouncing.discard(event.number)
        self._end(self._ledger.messages[event.number])

    def on_bounce_failed(self, event: events.BounceFailed) -> None:
        """Make ready for another attempt; a message that is not settled is to be settled first."""
        message = self._ledger.messages[event.number]
        self.bouncing.discard(event.number)
        if event.damaged:
            self._ledger.log(log.set_aside(event.number, event.text))
        else:
            self._ledger.log(log.warning(event.text))
        pause = ASIDE_PAUSE if event.damaged else TROUBLE_PAUSE
        message.not_before = self._ledger.now + pause
        if message.settled:
            message.state = State.SETTLED
            self._ledger.done.put(event.number, message.not_before)

    def _end(self, message: Message) -> None:
        self._ledger.log(log.end(message.number))
        message.state = State.REMOVING
        self._ledger.emit(events.Remove(message.number))

    def postpone_removal(self, event: events.RemoveDone) -> None:
        """Try again later to remove a message."""
        self._ledger.log(log.will_try_again(event.trouble))
        self._ledger.done.put(event.number, self._ledger.now + TROUBLE_PAUSE)
