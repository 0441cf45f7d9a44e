"""Success and delay in the core: a sender who asked for it is told before the outcome counts.

A recipient is finished, and a pass with delays ends, only after the notices about it are
queued. So a crash can cause a second notice (and a second delivery), but loses none. What
cannot be queued is tried again until qmail-send ends; then the delivery counts
and the notice does not, for a second delivery would be worse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.message.delivery_status import DELAYED
from pyqmail.message.wishes import DELAY, SUCCESS
from pyqmail.send import events, log, notices
from pyqmail.send.jobs import Outcome
from pyqmail.send.ledger import TROUBLE_PAUSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyqmail.send.jobs import Delivery
    from pyqmail.send.ledger import Ledger


class Telling:
    """Has notices queued; what waits for one goes on afterwards."""

    def __init__(self, ledger: Ledger, lifetime: int) -> None:
        self._ledger = ledger
        self._lifetime = lifetime
        self._waiting: dict[int, Callable[[], None]] = {}  # by the number of the delivery
        self._postponed: list[tuple[float, events.Tell]] = []
        self.under_way: set[int] = set()

    def notice(self, delivery: Delivery, outcome: Outcome, text: bytes) -> events.Tell | None:
        """Return what may have to be told about a delivery; the store knows whether it has."""
        pass_, item = delivery.pass_, delivery.item
        message = pass_.message
        action = None
        if outcome is Outcome.DONE and SUCCESS in message.notices:
            action = notices.success(item.channel, text)
        elif outcome is Outcome.DEFERRED and pass_.late and DELAY in message.notices:
            action = DELAYED
        if action is None or not notices.is_told(message.reverse_path):
            return None
        return events.Tell(
            delivery.number,
            message.number,
            message.reverse_path,
            self._ledger.routing.original(item.address),
            text,
            action,
            message.birth + self._lifetime if action is DELAYED else None,
        )

    def tell(self, notice: events.Tell, then: Callable[[], None]) -> None:
        """Have a notice queued; afterwards do `then`."""
        self._waiting[notice.delivery] = then
        self._start(notice)

    def _start(self, notice: events.Tell) -> None:
        self.under_way.add(notice.delivery)
        self._ledger.emit(notice)

    def on_told(self, event: events.Told) -> None:
        """Go on with the recipient; or try again later, as long as there is a later."""
        notice = event.notice
        self.under_way.discard(notice.delivery)
        if event.line:
            self._ledger.log(event.line)
        if notice.delivery not in self._waiting:
            return  # it was not waited for any more
        if event.again and not self._ledger.exiting:
            self._postponed.append((self._ledger.now + TROUBLE_PAUSE, notice))
        else:
            self._go_on(notice.delivery)

    def _go_on(self, delivery: int) -> None:
        self._waiting.pop(delivery)()

    # What is due.

    def times(self) -> list[float]:
        """Return when there will be something to do."""
        return [time for time, _ in self._postponed]

    def tell_due(self) -> None:
        """Try again what could not be told."""
        now = self._ledger.now
        due = [notice for time, notice in self._postponed if time <= now]
        if due:
            self._postponed = [entry for entry in self._postponed if entry[0] > now]
        for notice in due:
            self._start(notice)

    # The end.

    def give_up_postponed(self) -> None:
        """At exit: go on with those who could not be told."""
        postponed, self._postponed = self._postponed, []
        for _, notice in postponed:
            self._ledger.log(log.not_told(notice.number))
            self._go_on(notice.delivery)

    def give_up(self) -> None:
        """At the end of all patience: wait no longer for notices that are under way."""
        for delivery in list(self._waiting):
            self._go_on(delivery)
