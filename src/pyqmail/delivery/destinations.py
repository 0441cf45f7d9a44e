"""Connections to other hosts: how many at once, who gets one that is done, which are kept.

A *place* is an address and a port. Whoever wants to deliver to a place that has
its share of connections waits. A connection that has done its work goes to who
waits for one like it: to an equal hop, with the same demands on TLS and the
same login. If nobody does, it is kept for a moment: the next message for the
same host is often not far.

A place may take fewer connections than we would make. If it turns one away
while it has others of ours, those are its share, for a minute; then one more is
tried now and then.

A place may be slow or dead. Whoever has asked there for long and got nothing
has asked for all: those who wait hear that, and for a minute nobody asks again.
And nobody waits for a place where nothing moves.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyqmail.delivery.connection import Connection
    from pyqmail.delivery.hops import Hop
    from pyqmail.delivery.outcome import Outcome

    Place = tuple[object, int]

LIMIT: Final = 20  # connections to one place; as much as others allow, and the original's default
MAX_KEPT: Final = 50  # connections without work, to all places together
# Seconds:
KEEP: Final = 3  # that a connection is kept: for longer it is a burden to the other host
SILENCE: Final = 60  # in which nobody asks where somebody has asked for long
STUCK: Final = 60  # without any work done at a place that has its share of connections
CROWDED: Final = 60  # in which a place that has turned somebody away is not tried with more
GROWTH: Final = 10  # from then on, before each further one


class Unanswered(Exception):  # noqa: N818  it says what the place did
    """Others have asked there, and got nothing: it need not be tried.

    `outcome` is what they heard; None: they heard nothing.
    """

    def __init__(self, outcome: Outcome | None = None) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class _Kept:
    """A connection without work."""

    timer: asyncio.TimerHandle

    def __init__(self, hop: Hop, connection: Connection) -> None:
        self.hop = hop
        self.connection = connection


class _Share:
    """The connections to one place, and those who wait for one."""

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self.grows_at: float = 0  # when one more may be tried
        self.crowded_until: float = 0
        self.taken = 0  # connections, those that are kept included
        self.kept: list[_Kept] = []
        self.waiting: deque[tuple[Hop, asyncio.Future[Connection | None]]] = deque()
        self.moved = now  # when work was done here
        self.silent_until: float = 0

    def tell_the_waiting(self, outcome: Outcome | None = None) -> None:
        while self.waiting:
            _, turn = self.waiting.popleft()
            if not turn.done():
                turn.set_exception(Unanswered(outcome))


class Destinations:
    """Call `enter()` before connecting to a hop and `leave()` afterwards, whatever came of it.

    `keep` is for how many seconds a connection without work is kept. If for any, `close_all()`
    in the end.
    """

    def __init__(self, limit: int = LIMIT, keep: float = KEEP) -> None:
        self._limit = limit
        self.keep = keep
        self._shares: dict[Place, _Share] = {}
        self._kept: OrderedDict[_Kept, None] = OrderedDict()  # the oldest comes first

    async def enter(self, hop: Hop) -> Connection | None:
        """Return a connection for the hop that is free now; None: one may be opened.

        Waits for its turn. Raises Unanswered: then there is nothing to leave.
        """
        share = self._share_of(hop)
        if _now() < share.silent_until:
            raise Unanswered
        while (kept := _newest(share, hop)) is not None:
            self._take_out(share, kept)
            if kept.connection.reusable:
                return kept.connection
            self._close(share, kept.connection)
        while share.taken >= share.limit and share.kept:
            kept = share.kept[0]
            self._take_out(share, kept)
            self._close(share, kept.connection)
        if share.taken < share.limit:
            if not share.taken:
                share.moved = _now()
            share.taken += 1
            return None
        return await self._wait(share, hop)

    async def _wait(self, share: _Share, hop: Hop) -> Connection | None:
        left = share.moved + STUCK - _now()
        if left <= 0:
            raise Unanswered
        loop = asyncio.get_running_loop()
        if not share.waiting:
            loop.call_later(left, self._look_at_line, share)
        turn: asyncio.Future[Connection | None] = loop.create_future()
        share.waiting.append((hop, turn))
        return await turn

    def _look_at_line(self, share: _Share) -> None:
        left = share.moved + STUCK - _now()
        if left <= 0:
            share.tell_the_waiting()
        elif share.waiting:
            asyncio.get_running_loop().call_later(left, self._look_at_line, share)

    def leave(self, hop: Hop, connection: Connection | None, *, served: bool) -> None:
        """Let the next one in, with this connection if it serves there; else it is kept, or closed.

        `served`: the place has done its work, whatever it answered.
        """
        share = self._shares[_place(hop)]
        if served:
            share.moved = _now()
            self._grow(share)
        if connection is not None and not connection.reusable:
            connection.close()
            connection = None
        if connection is None and share.taken > share.limit:
            self._lessen(share, hop)  # the others have their share, and hand it on
            return
        while share.waiting:
            wanted, turn = share.waiting.popleft()
            if turn.done():
                continue  # its delivery has been given up
            if connection is not None and wanted != hop:
                connection.close()
                connection = None
            turn.set_result(connection)
            return
        if connection is not None and self.keep:
            self._keep(share, hop, connection)
            return
        if connection is not None:
            connection.close()
        self._lessen(share, hop)

    def _grow(self, share: _Share) -> None:
        """Have one more connection tried at a place that took fewer, if it is time for that."""
        if share.limit < self._limit and share.grows_at <= _now():
            share.limit += 1
            share.grows_at = _now() + GROWTH
            while share.waiting and share.taken < share.limit:
                _, turn = share.waiting.popleft()
                if not turn.done():
                    share.taken += 1
                    turn.set_result(None)

    def turned_away(self, hop: Hop, outcome: Outcome) -> bool:
        """Hear that a place took no further connection; say whether it has others of ours.

        Then it gets no more than those for a while. If it has none, it takes nobody,
        and who waits for it hears the same.
        """
        share = self._shares[_place(hop)]
        others = share.taken - 1
        if not others:
            share.tell_the_waiting(outcome)
            return False
        share.limit = min(share.limit, others)
        share.grows_at = share.crowded_until = _now() + CROWDED
        asyncio.get_running_loop().call_later(CROWDED, self._forget, share, _place(hop))
        return True

    def tell_the_waiting(self, hop: Hop) -> None:
        """Say that a place gives no connection: who waits for it need not ask."""
        self._shares[_place(hop)].tell_the_waiting()

    def be_silent(self, hop: Hop) -> None:
        """Have nobody ask at a place for a while: somebody has for long, and got nothing."""
        share = self._shares[_place(hop)]
        share.tell_the_waiting()
        share.silent_until = _now() + SILENCE
        asyncio.get_running_loop().call_later(SILENCE, self._forget, share, _place(hop))

    # Connections without work.

    def _keep(self, share: _Share, hop: Hop, connection: Connection) -> None:
        kept = _Kept(hop, connection)
        kept.timer = asyncio.get_running_loop().call_later(self.keep, self._drop, share, kept)
        share.kept.append(kept)
        self._kept[kept] = None
        if len(self._kept) > MAX_KEPT:
            self.close_oldest()

    def close_oldest(self) -> bool:
        """Close the connection that is kept for longest; say whether there was one."""
        for kept in self._kept:
            self._drop(self._share_of(kept.hop), kept)
            return True
        return False

    def close_all(self) -> None:
        """Keep nothing any more."""
        while self.close_oldest():
            pass

    def _drop(self, share: _Share, kept: _Kept) -> None:
        self._take_out(share, kept)
        kept.connection.close()
        self._lessen(share, kept.hop)

    def _take_out(self, share: _Share, kept: _Kept) -> None:
        kept.timer.cancel()
        share.kept.remove(kept)
        del self._kept[kept]

    def _close(self, share: _Share, connection: Connection) -> None:
        connection.close()
        share.taken -= 1

    # Places.

    def _share_of(self, hop: Hop) -> _Share:
        place = _place(hop)
        if place not in self._shares:
            self._shares[place] = _Share(self._limit, _now())
        return self._shares[place]

    def _lessen(self, share: _Share, hop: Hop) -> None:
        share.taken -= 1
        self._forget(share, _place(hop))

    def _forget(self, share: _Share, place: Place) -> None:
        """Forget what is known of a place, unless it is still of use."""
        of_use = max(share.silent_until, share.crowded_until) > _now()
        if not (share.taken or of_use) and self._shares.get(place) is share:
            del self._shares[place]


def _newest(share: _Share, hop: Hop) -> _Kept | None:
    return next((kept for kept in reversed(share.kept) if kept.hop == hop), None)


def _place(hop: Hop) -> Place:
    return hop.address, hop.port


def _now() -> float:
    return asyncio.get_running_loop().time()
