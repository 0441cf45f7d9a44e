"""A delivery to another host: the right hosts in the right order, until one takes the message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError
from pyqmail.control.smtproutes import SMTP_PORT
from pyqmail.delivery.composition import Envelope
from pyqmail.delivery.destinations import KEEP, LIMIT, Destinations, Unanswered
from pyqmail.delivery.hops import find_hops
from pyqmail.delivery.introduction import TurnedAway, Unopened
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
    from collections.abc import Callable, Sequence

    from pyqmail.delivery.connection import Connection
    from pyqmail.delivery.hops import Hop
    from pyqmail.delivery.routes import Settings
    from pyqmail.queue.suspension import Suspension
    from pyqmail.system.dns import Resolver


FRESH: Final = 1  # seconds for which what was read and asked counts as just read and asked
LONG: Final = 10  # seconds to ask a host, and get nothing; who refuses does so sooner


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Delivery:
    """What qmail-remote is told; `message` is a descriptor that reads the message.

    `wishes` are those for each recipient, as `Wishes.words_for()` gives them; or none at all.
    Others may be added to the forward paths, and their wishes, until `begin` is called, which
    comes before a host hears of the first of them.
    """

    host: bytes
    reverse_path: bytes
    forward_paths: Sequence[bytes]
    message: int
    wishes: Sequence[bytes] = ()
    begin: Callable[[], None] = _nothing

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

    What control files and the DNS say is asked anew after a second: as good as for each
    delivery, which is what the original's program does.
    After a delivery its connection is closed, unless `keep_connections()` was called.
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
        self._destinations = Destinations(limit, keep=0)
        self._settings: Settings | None = None
        self._hops: dict[bytes, Sequence[Hop]] = {}
        self._stale_at: float = 0

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Return what became of the message, for each recipient."""
        try:
            return await self._deliver(delivery)
        except Undeliverable as failure:
            return Outcome([], failure.report)

    async def _deliver(self, delivery: Delivery) -> Outcome:
        self._forget_what_is_stale()
        settings = self._read_settings()
        if breaks_lines(delivery.reverse_path):
            raise Undeliverable(LINE_BREAK_IN_SENDER)
        if all(map(breaks_lines, delivery.forward_paths)):
            reports = [LINE_BREAK_IN_RECIPIENT] * len(delivery.forward_paths)
            return Outcome(reports, NO_RECIPIENT_LEFT)
        hops = await self._find_hops(delivery.host.lower(), settings)
        return await self._try_each(hops, settings, _Work(delivery))

    def _forget_what_is_stale(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._stale_at:
            self._stale_at = now + FRESH
            self._settings = None
            self._hops.clear()

    def _read_settings(self) -> Settings:
        if self._settings is None:
            try:
                self._settings = read_settings(self._home)
            except ControlError as error:
                raise Undeliverable(UNREADABLE_CONTROL) from error
        return self._settings

    async def _find_hops(self, host: bytes, settings: Settings) -> Sequence[Hop]:
        hops = self._hops.get(host)
        if hops is None:
            hops = await find_hops(self._home, host, settings, self._resolver, self._port)
            self._hops[host] = hops
        return hops

    async def _try_each(self, hops: Sequence[Hop], settings: Settings, work: _Work) -> Outcome:
        outcome = Outcome([], NO_CONNECTION, elsewhere=True)
        for hop in hops:
            outcome = await self._try_one(hop, settings, work) or outcome
            if not outcome.elsewhere:
                return outcome
        # Where others of ours are being served, our turn comes as well.
        for hop in list(work.crowded):
            outcome = await self._try_one(hop, settings, work) or outcome
            if not outcome.elsewhere:
                break
        return outcome

    async def _try_one(self, hop: Hop, settings: Settings, work: _Work) -> Outcome | None:
        """Return what came of one address; None if there was nobody to ask."""
        try:
            connection = await self._destinations.enter(hop)
        except Unanswered as told:
            return told.outcome
        crowded = False
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
            elif isinstance(failure, TurnedAway):
                crowded = self._destinations.turned_away(hop, failure.outcome)
        finally:
            served = connection is not None and connection.conversation.session.idle
            if crowded:
                work.crowded.append(hop)
            elif not served and asyncio.get_running_loop().time() - began > LONG:
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

    def keep_connections(self) -> None:
        """Keep connections for a moment, in which others may use them; `close()` in the end."""
        self._destinations.keep = KEEP

    def close(self) -> None:
        """Close the connections that are kept; nothing more is to be delivered."""
        self._destinations.close_all()


class _Work:
    """The message and envelope of a delivery, for one connection after the other."""

    def __init__(self, delivery: Delivery) -> None:
        self.crowded: list[Hop] = []  # that took no further connection, but have others of ours
        self._delivery = delivery
        self._message = OutgoingMessage(delivery.message)

    async def hand_over(self, connection: Connection) -> Outcome | None:
        """Return what became of the message; None if it cannot be read again."""
        if not self._message.rewind():
            return None
        self._delivery.begin()
        return await connection.hand_over(self._delivery.envelope, self._message)
