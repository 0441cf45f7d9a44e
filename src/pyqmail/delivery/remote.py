"""A delivery to another host: the right hosts in the right order, until one takes the message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyqmail.control.files import ControlError
from pyqmail.control.smtproutes import SMTP_PORT
from pyqmail.delivery.composition import Envelope
from pyqmail.delivery.destinations import LIMIT, Destinations, Unanswered
from pyqmail.delivery.hops import find_hops
from pyqmail.delivery.introduction import Unopened
from pyqmail.delivery.opening import Opener
from pyqmail.delivery.outcome import Outcome
from pyqmail.delivery.outgoing import OutgoingMessage
from pyqmail.delivery.paths import breaks_lines
from pyqmail.delivery.remote_texts import (
    LINE_BREAK_IN_RECIPIENT,
    LINE_BREAK_IN_SENDER,
    NO_CONNECTION,
    NO_RECIPIENT_LEFT,
    UNREADABLE_CONTROL,
    Undeliverable,
)
from pyqmail.delivery.routes import read_settings
from pyqmail.message.wishes import parse_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyqmail.delivery.connection import Connection
    from pyqmail.delivery.hops import Hop
    from pyqmail.delivery.routes import Settings
    from pyqmail.queue.suspension import Suspension
    from pyqmail.system.dns import Resolver


@dataclass(frozen=True, slots=True)
class Delivery:
    """What qmail-remote is told; `message` is a descriptor that reads the message.

    `wishes` are those for each recipient, as `Wishes.words_for()` gives them; or none at all.
    """

    host: bytes
    reverse_path: bytes
    forward_paths: Sequence[bytes]
    message: int
    wishes: Sequence[bytes] = ()

    @property
    def envelope(self) -> Envelope:
        """What goes to the next host."""
        if not any(self.wishes):
            return Envelope(self.reverse_path, self.forward_paths)
        parsed = [parse_words(words) for words in self.wishes]
        each = [own for _, own in parsed]
        return Envelope(self.reverse_path, self.forward_paths, parsed[0][0], each)


class RemoteDeliverer:
    """Delivers to other hosts, any number of deliveries at once.

    The control files are read for each delivery, as the original's program does.
    """

    def __init__(
        self,
        home: str,
        resolver: Resolver,
        suspension: Suspension,
        port: int = SMTP_PORT,
        limit: int = LIMIT,
    ) -> None:
        self._home = home
        self._port = port
        self._resolver = resolver
        self._opener = Opener(home, suspension)
        self._destinations = Destinations(limit)

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Return what became of the message, for each recipient."""
        try:
            return await self._deliver(delivery)
        except Undeliverable as failure:
            return Outcome([], failure.report)

    async def _deliver(self, delivery: Delivery) -> Outcome:
        try:
            settings = read_settings(self._home)
        except ControlError as error:
            raise Undeliverable(UNREADABLE_CONTROL) from error
        if breaks_lines(delivery.reverse_path):
            raise Undeliverable(LINE_BREAK_IN_SENDER)
        if all(map(breaks_lines, delivery.forward_paths)):
            reports = [LINE_BREAK_IN_RECIPIENT] * len(delivery.forward_paths)
            return Outcome(reports, NO_RECIPIENT_LEFT)
        hops = await find_hops(self._home, delivery.host, settings, self._resolver, self._port)
        message = OutgoingMessage(delivery.message)
        return await self._try_each(hops, settings, delivery.envelope, message)

    async def _try_each(
        self, hops: Sequence[Hop], settings: Settings, envelope: Envelope, message: OutgoingMessage
    ) -> Outcome:
        outcome = Outcome([], NO_CONNECTION, elsewhere=True)
        for hop in hops:
            there = await self._try_one(hop, settings, envelope, message)
            outcome = there or outcome
            if not outcome.elsewhere:
                break
        return outcome

    async def _try_one(
        self, hop: Hop, settings: Settings, envelope: Envelope, message: OutgoingMessage
    ) -> Outcome | None:
        """Return what came of one address; None if there was nobody to ask."""
        try:
            connection = await self._destinations.enter(hop)
        except Unanswered:
            return None
        try:
            outcome = None
            if connection is not None and message.rewind():
                outcome = await connection.hand_over(envelope, message)
            if (outcome is None or outcome.elsewhere) and message.rewind():
                # One that others have used may only be too old: the host is worth a fresh one.
                connection = await self._renew(connection, hop, settings)
                outcome = await connection.hand_over(envelope, message)
        except Unopened as failure:
            connection, outcome = None, failure.outcome or outcome
        finally:
            self._destinations.leave(hop, connection)
        return outcome

    async def _renew(self, old: Connection | None, hop: Hop, settings: Settings) -> Connection:
        if old is not None:
            old.close()
        try:
            return await self._opener.open(hop, settings)
        except Unopened as failure:
            if failure.outcome is None:
                self._destinations.tell_the_waiting(hop)
            raise
