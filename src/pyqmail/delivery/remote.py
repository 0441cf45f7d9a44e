"""A delivery to another host: the right hosts in the right order, until one takes the message."""

from __future__ import annotations

import asyncio
import errno
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError
from pyqmail.delivery.connection import Connection
from pyqmail.delivery.destinations import LIMIT, Destinations, Unanswered
from pyqmail.delivery.exchangers import find_exchangers, find_relay
from pyqmail.delivery.outgoing import OutgoingMessage
from pyqmail.delivery.remote_texts import (
    LINE_BREAK_IN_RECIPIENT,
    LINE_BREAK_IN_SENDER,
    NO_CONNECTION,
    NO_RECIPIENT_LEFT,
    OUT_OF_RESOURCES,
    UNREADABLE_CONTROL,
    Undeliverable,
)
from pyqmail.delivery.routes import SMTP_PORT, find_relay_of, read_settings
from pyqmail.delivery.smtp_transaction import Envelope, Outcome, Transaction
from pyqmail.message.address import quote_address, split_address
from pyqmail.system.interfaces import local_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyqmail.delivery.exchangers import Address
    from pyqmail.delivery.routes import Settings
    from pyqmail.queue.suspension import Suspension
    from pyqmail.system.dns import Resolver

MAX_ADDRESSES: Final = 20  # tried in one delivery; each may cost a time-out
IPV6: Final = 6
_CHANCE: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What qmail-remote is told; `message` is a descriptor that reads the message."""

    host: bytes
    reverse_path: bytes
    forward_paths: Sequence[bytes]
    message: int


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
        self._suspension = suspension
        self._destinations = Destinations(limit)

    async def deliver(self, delivery: Delivery) -> bytes:
        """Return what qmail-remote says: a report on each recipient, then one on the message."""
        try:
            outcome = await self._deliver(delivery)
        except Undeliverable as failure:
            outcome = Outcome([], failure.report)
        reports = [*outcome.recipients, outcome.message]
        return b"".join(report + b"\0" for report in reports)

    async def _deliver(self, delivery: Delivery) -> Outcome:
        try:
            settings = read_settings(self._home)
            relay = find_relay_of(settings.routes, delivery.host)
        except ControlError as error:
            raise Undeliverable(UNREADABLE_CONTROL) from error
        if _breaks_lines(delivery.reverse_path):
            raise Undeliverable(LINE_BREAK_IN_SENDER)
        paths = [path for path in delivery.forward_paths if not _breaks_lines(path)]
        if not paths:
            return _with_the_broken(delivery, Outcome([], NO_RECIPIENT_LEFT))
        if relay:
            addresses, port = await find_relay(relay.host, self._resolver), relay.port
        else:
            own = _own_addresses()
            addresses = await find_exchangers(delivery.host, self._resolver, own, _CHANCE.shuffle)
            port = self._port
        envelope = Envelope(wire_form(delivery.reverse_path), [wire_form(path) for path in paths])
        message = OutgoingMessage(delivery.message)
        outcome = await self._try_each(addresses, port, settings, envelope, message)
        return _with_the_broken(delivery, outcome)

    async def _try_each(
        self,
        addresses: Iterable[Address],
        port: int,
        settings: Settings,
        envelope: Envelope,
        message: OutgoingMessage,
    ) -> Outcome:
        outcome = Outcome([], NO_CONNECTION, elsewhere=True)
        for address in list(addresses)[:MAX_ADDRESSES]:
            there = await self._try_one(address, port, settings, envelope, message)
            outcome = there or outcome
            if not outcome.elsewhere:
                break
        return outcome

    async def _try_one(
        self,
        address: Address,
        port: int,
        settings: Settings,
        envelope: Envelope,
        message: OutgoingMessage,
    ) -> Outcome | None:
        """Return what came of one address; None if there was nobody to ask."""
        if self._suspension.is_suspended(address.packed, int(time.time())):
            return None
        place = (str(address), port)
        try:
            connection = await self._destinations.enter(place)
        except Unanswered:
            return None
        try:
            outcome = None
            if connection is not None and message.rewind():
                outcome = await _hand_over(connection, address, settings, envelope, message)
            if outcome is None or outcome.elsewhere:
                # One that others have used may only be too old: the host is worth a fresh one.
                connection = await self._renew(connection, address, port, settings)
                if connection is not None and message.rewind():
                    outcome = await _hand_over(connection, address, settings, envelope, message)
        finally:
            self._destinations.leave(place, connection)
        return outcome

    async def _renew(
        self, old: Connection | None, address: Address, port: int, settings: Settings
    ) -> Connection | None:
        if old is not None:
            old.close()
        connection = await self._connect(address, port, settings)
        if connection is None:
            self._destinations.tell_the_waiting((str(address), port))
        return connection

    async def _connect(self, address: Address, port: int, settings: Settings) -> Connection | None:
        """Return a connection to the address; None if it is not to be had."""
        source = settings.source
        of_one_kind = source is not None and (":" in source) == (address.version == IPV6)
        try:
            async with asyncio.timeout(settings.connect_timeout):
                reader, writer = await asyncio.open_connection(
                    str(address), port, local_addr=(source, 0) if of_one_kind else None
                )
        except OSError as error:
            if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
                self._suspension.note_timeout(address.packed, int(time.time()))
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise Undeliverable(OUT_OF_RESOURCES) from error
            return None
        self._suspension.note_success(address.packed)
        return Connection(reader, writer, settings.name)


async def _hand_over(
    connection: Connection,
    address: Address,
    settings: Settings,
    envelope: Envelope,
    message: OutgoingMessage,
) -> Outcome:
    connection.transactions += 1
    partner = str(address).encode()
    transaction = Transaction(connection, connection.session, partner, settings.timeout)
    return await transaction.run(envelope, message)


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
    return Outcome(merged, outcome.message)


def _own_addresses() -> frozenset[bytes]:
    try:
        return local_addresses()
    except OSError as error:
        raise Undeliverable(OUT_OF_RESOURCES) from error
