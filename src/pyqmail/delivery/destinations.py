"""How many connections go to one place at once, and who gets one that is done.

Whoever wants to deliver to a place that has its share of connections waits. A
connection that has done its work is handed on to who waits; if nobody does, it
is closed, so none is ever idle. When a place does not answer, all who wait for it
hear that at once: one has asked for all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyqmail.delivery.connection import Connection
    from pyqmail.delivery.hops import Hop as Place

LIMIT: Final = 20  # connections to one place; as much as others allow, and the original's default


class Unanswered(Exception):  # noqa: N818  it says what the place did
    """Somebody else has just asked there, and got no connection."""


class _Share:
    """The connections to one place, and those who wait for one."""

    def __init__(self) -> None:
        self.taken = 0
        self.waiting: deque[asyncio.Future[Connection | None]] = deque()


class Destinations:
    """Call `enter()` before connecting to a place and `leave()` afterwards, whatever came of it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._shares: dict[Place, _Share] = {}

    async def enter(self, place: Place) -> Connection | None:
        """Return a connection to the place that is free now; None: one may be opened.

        Waits for its turn. Raises Unanswered: then there is nothing to leave.
        """
        share = self._shares.setdefault(place, _Share())
        if share.taken < self._limit:
            share.taken += 1
            return None
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        share.waiting.append(turn)
        return await turn

    def leave(self, place: Place, connection: Connection | None) -> None:
        """Let the next one in, with this connection if it can be used again; else it is closed."""
        share = self._shares[place]
        if connection is not None and not connection.reusable:
            connection.close()
            connection = None
        while share.waiting:
            turn = share.waiting.popleft()
            if not turn.done():  # or else its delivery has been given up
                turn.set_result(connection)
                return
        if connection is not None:
            connection.close()
        share.taken -= 1
        if not share.taken:
            del self._shares[place]

    def tell_the_waiting(self, place: Place) -> None:
        """Say that a place gives no connection: who waits for it need not ask."""
        waiting = self._shares[place].waiting
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_exception(Unanswered())
