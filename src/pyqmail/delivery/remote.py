"""A delivery to another host: the right hosts in the right order, until one takes the message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError
from pyqmail.delivery.destinations import LIMIT, Destinations, Unanswered
from pyqmail.delivery.hops import find_hops
from pyqmail.delivery.introduction import Unopened
from pyqmail.delivery.opening import Opener
from pyqmail.delivery.outcome import Outcome
from pyqmail.delivery.outgoing import OutgoingMessage
from pyqmail.delivery.remote_texts import (
    LINE_BREAK_IN_RECIPIENT,
    LINE_BREAK_IN_SENDER,
    NO_CONNECTION,
    NO_RECIPIENT_LEFT,
    UNREADABLE_CONTROL,
    Undeliverable,
)
from pyqmail.delivery.routes import SMTP_PORT, read_settings
from pyqmail.delivery.smtp_transaction import Envelope
from pyqmail.message.address import quote_address, split_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyqmail.delivery.connection import Connection
    from pyqmail.delivery.hops import Hop
    from pyqmail.delivery.routes import Settings
    from pyqmail.queue.suspension import Suspension
    from pyqmail.system.dns import Resolver


LONG: Final = 10  # seconds to ask a host, and get nothing; who refuses does so sooner


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Delivery:
    """What qmail-remote is told; `message` is a descriptor that reads the message.

    Others may be added to the forward paths until `begin` is called, which
    comes before a host hears of the first of them.
    """

    host: bytes
    reverse_path: bytes
    forward_paths: Sequence[bytes]
    message: int
    begin: Callable[[], None] = _nothing


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
        if _breaks_lines(delivery.reverse_path):
            raise Undeliverable(LINE_BREAK_IN_SENDER)
        if all(map(_breaks_lines, delivery.forward_paths)):
            return _with_the_broken(delivery, Outcome([], NO_RECIPIENT_LEFT))
        hops = await find_hops(self._home, delivery.host, settings, self._resolver, self._port)
        outcome = await self._try_each(hops, settings, _Work(delivery))
        return _with_the_broken(delivery, outcome)

    async def _try_each(self, hops: Sequence[Hop], settings: Settings, work: _Work) -> Outcome:
        outcome = Outcome([], NO_CONNECTION, elsewhere=True)
        for hop in hops:
            outcome = await self._try_one(hop, settings, work) or outcome
            if not outcome.elsewhere:
                break
        return outcome

    async def _try_one(self, hop: Hop, settings: Settings, work: _Work) -> Outcome | None:
        """Return what came of one address; None if there was nobody to ask."""
        try:
            connection = await self._destinations.enter(hop)
        except Unanswered:
            return None
        began = asyncio.get_running_loop().time()
        outcome = None
        try:
            if connection is not None:
                outcome = await work.hand_over(connection)
            if outcome is None or outcome.elsewhere:
                # One that others have used may only be too old: the host is worth a fresh one.
                connection = await self._renew(connection, hop, settings)
                outcome = await work.hand_over(connection) or outcome
        except Unopened as failure:
            connection, outcome = None, failure.outcome or outcome
            if failure.outcome is None:
                self._destinations.tell_the_waiting(hop)
        finally:
            served = connection is not None and connection.conversation.session.idle
            if not served and asyncio.get_running_loop().time() - began > LONG:
                self._destinations.be_silent(hop)
            self._destinations.leave(hop, connection, served=served)
        return outcome

    async def _renew(self, old: Connection | None, hop: Hop, settings: Settings) -> Connection:
        if old is not None:
            old.close()
        try:
            return await self._opener.open(hop, settings)
        except Undeliverable:
            # Out of descriptors: one that is kept for others may serve us better.
            if not self._destinations.close_oldest():
                raise
            await asyncio.sleep(0)  # it is closed in the next turn of the loop
            return await self._opener.open(hop, settings)

    def close(self) -> None:
        """Close the connections that are kept; nothing more is to be delivered."""
        self._destinations.close_all()


class _Work:
    """The message and envelope of a delivery, for one connection after the other."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._message = OutgoingMessage(delivery.message)

    async def hand_over(self, connection: Connection) -> Outcome | None:
        """Return what became of the message; None if it cannot be read again."""
        if not self._message.rewind():
            return None
        delivery = self._delivery
        delivery.begin()
        paths = [wire_form(each) for each in delivery.forward_paths if not _breaks_lines(each)]
        return await connection.hand_over(
            Envelope(wire_form(delivery.reverse_path), paths), self._message
        )


def wire_form(address: bytes) -> bytes:
    """Return the address as it stands in MAIL and RCPT; without a domain, as it is."""
    return address if split_address(address)[1] is None else quote_address(address)


def _breaks_lines(address: bytes) -> bool:
    return b"\r" in address or b"\n" in address


def _with_the_broken(delivery: Delivery, outcome: Outcome) -> Outcome:
    """Put the reports on recipients that were not sent at their places."""
    reports = iter(outcome.recipients)
    merged: list[bytes] = []
    for path in delivery.forward_paths:
        report = LINE_BREAK_IN_RECIPIENT if _breaks_lines(path) else next(reports, None)
        if report is None:
            break  # nobody was asked about this one and those after it
        merged.append(report)
    return replace(outcome, recipients=merged)
