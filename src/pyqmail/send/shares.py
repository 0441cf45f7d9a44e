"""How many of a channel's slots one destination may have, and who waits for room there.

A destination is the domain of a recipient. If it does not answer, each delivery
to it holds its slot until time is out; and with enough mail for it, nobody else
would get any. So a destination begins with a share of the slots, gets one more
whenever it has answered, and loses half of them when it has kept a delivery
waiting for nothing. Some slots are never the share of one destination alone.

A message that has nobody to deliver to but at destinations without room waits
in the line of one of them, and takes part in nothing else. As soon as there is
room, the first in line is invited: the room is kept for it until it has been
asked whom it delivers to next.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

# Seconds after which a delivery that came to nothing was a waste of its slot: who refuses
# mail for now says so sooner, and time-outs are longer.
WASTE: Final = 10
# Parts of all slots: what a destination has at first, and what is for others always.
FIRST_SHARE: Final = 4
RESERVE: Final = 5
FEW: Final = 4  # slots that are not worth dividing: there it is as in the original


class Shares:
    """The rooms of all destinations, and the lines before them. Messages are numbers."""

    def __init__(self, first: int, most: int) -> None:
        self._first = first
        self.most = most
        self._taken: dict[bytes, int] = {}  # deliveries and invitations
        self._allowed: dict[bytes, int] = {}  # where it is not what all have at first
        self._lines: dict[bytes, OrderedDict[int, None]] = {}
        self._places: dict[int, bytes] = {}  # in whose line a message stands
        self._invited: dict[int, bytes] = {}

    def has_room(self, destination: bytes) -> bool:
        """May another delivery to the destination begin?"""
        allowed = self._allowed.get(destination, self._first)
        return self._taken.get(destination, 0) < allowed

    def enter(self, destination: bytes) -> None:
        """Take room for a delivery."""
        self._taken[destination] = self._taken.get(destination, 0) + 1

    def leave(self, destination: bytes) -> None:
        """Give the room of a delivery back."""
        self._taken[destination] -= 1
        if not self._taken[destination]:
            # Nobody stands in line there, else one would be invited: begin anew next time.
            del self._taken[destination]
            if destination not in self._lines:
                self._allowed.pop(destination, None)

    def learn(self, destination: bytes, seconds: float, *, answered: bool) -> None:
        """Change the share after a delivery that took so long."""
        allowed = self._allowed.get(destination, self._first)
        if answered:
            self._allowed[destination] = min(allowed + 1, self.most)
        elif seconds > WASTE:
            self._allowed[destination] = max(allowed // 2, 1)

    # The lines.

    def stand(self, number: int, destination: bytes) -> None:
        """Put a message at the end of a line."""
        self._lines.setdefault(destination, OrderedDict())[number] = None
        self._places[number] = destination

    def stands(self, number: int) -> bool:
        """Does the message stand in a line?"""
        return number in self._places

    def step_out(self, number: int) -> None:
        """Take a message out of its line, if it stands in one."""
        destination = self._places.pop(number, None)
        if destination is not None:
            self._remove(number, destination)

    def invite(self, destination: bytes) -> int | None:
        """Take the first out of a line if there is room, and keep the room for it."""
        line = self._lines.get(destination)
        if line is None or not self.has_room(destination):
            return None
        number = next(iter(line))
        self.step_out(number)
        self.enter(destination)
        self._invited[number] = destination
        return number

    def take_invitation(self, number: int) -> bytes | None:
        """End the invitation of a message; return where it was invited to, if it was."""
        destination = self._invited.pop(number, None)
        if destination is not None:
            self.leave(destination)
        return destination

    def waiting(self) -> list[int]:
        """Return all messages that stand in lines."""
        return list(self._places)

    def _remove(self, number: int, destination: bytes) -> None:
        line = self._lines[destination]
        del line[number]
        if not line:
            del self._lines[destination]


def shares_of(slots: int) -> Shares:
    """Return the shares for a channel whose destinations may be far away."""
    most = max(slots - slots // RESERVE, 1)
    return Shares(min(max(slots // FIRST_SHARE, FEW), most), most)


def no_shares(slots: int) -> Shares:
    """Return the shares for a channel with one destination, which may have all slots."""
    return Shares(slots, slots)


def destination_of(address: bytes) -> bytes:
    """Return the destination of a recipient."""
    return address.rpartition(b"@")[2].lower()
