"""When a message is tried again; qmail-send(8).

The pauses between attempts grow with the age of the message, so that attempt
number k comes about (skip * k)^2 seconds after birth, on its own curve for each
channel: mailboxes of this host are tried more often than hosts far away.
"""

from __future__ import annotations

import heapq
from math import isqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.queue.store import Channel

SKIP: Final[dict[Channel, int]] = {"local": 10, "remote": 20}  # square roots of seconds

DELAY_NOTICE: Final = 14400  # seconds after which a message is late; what others wait, too

# The original computes sixteen bits of the square root; ages of more than 136
# years are all the same to it.
MAX_ROOT: Final = 65535


def next_attempt(birth: int, now: int, channel: Channel) -> int:
    """Return when a message born at `birth` is tried after an attempt that begins `now`."""
    root = min(isqrt(max(now - birth, 0)), MAX_ROOT) + SKIP[channel]
    return birth + root * root


def is_dying(birth: int, now: int, lifetime: int) -> bool:
    """Say whether an attempt that begins `now` is the last one."""
    return now > birth + lifetime


def is_late(birth: int, now: float) -> bool:
    """Say whether a sender who asked to hear of delay is to be told."""
    return now >= birth + DELAY_NOTICE


class Agenda:
    """Numbers of messages, each with the time when it is due; the earliest comes first.

    A number is in it once at most: putting it again moves it.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._times: dict[int, float] = {}  # what counts; older entries of the heap are void

    def __len__(self) -> int:
        return len(self._times)

    def __contains__(self, number: int) -> bool:
        return number in self._times

    def put(self, number: int, time: float) -> None:
        """Make `number` due at `time`."""
        self._times[number] = time
        heapq.heappush(self._heap, (time, number))

    def discard(self, number: int) -> None:
        """Take `number` out, if it is in."""
        self._times.pop(number, None)

    def clear(self) -> None:
        """Take all numbers out."""
        self._heap.clear()
        self._times.clear()

    def first_time(self) -> float | None:
        """Return when the first number is due; None if there is none."""
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> int | None:
        """Take out and return the first number if it is due."""
        time = self.first_time()
        if time is None or time > now:
            return None
        number = heapq.heappop(self._heap)[1]
        del self._times[number]
        return number

    def make_all_due(self, now: float) -> None:
        """Make every number due now."""
        self._times = dict.fromkeys(self._times, now)
        self._heap = [(now, number) for number in self._times]
        heapq.heapify(self._heap)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Yield every number with its time, in no order."""
        return iter(list(self._times.items()))
