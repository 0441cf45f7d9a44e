"""What the workers of one tcpserver share: how many connections there are, and their numbers."""

from __future__ import annotations

import mmap
from struct import Struct
from typing import Final

_COUNT: Final = Struct("q")


class Tally:
    """Counts the connections of all workers, in memory that they inherit."""

    def __init__(self, limit: int, workers: int) -> None:
        self.workers = min(workers, limit)
        self._limit = limit
        # Of each worker, and of another that goes on with its sessions when it has been relieved.
        self._memory = mmap.mmap(-1, _COUNT.size * self.workers * 2)

    def share(self, index: int, *, relief: bool = False) -> Share:
        """Return the part of worker `index`, or of who has relieved it, with no connections."""
        most = self._limit // self.workers + (index < self._limit % self.workers)
        place = index + self.workers if relief else index
        return Share(self._memory, index, place, self.workers, most)


class Share:
    """One worker's part. Only that worker writes into it, so nobody needs a lock."""

    def __init__(self, memory: mmap.mmap, index: int, place: int, workers: int, most: int) -> None:
        self._memory = memory
        self._place = place
        self._most = most
        self._count = 0
        self.index = index
        self.workers = workers
        self.add(0)

    @property
    def alone(self) -> bool:
        """Is there no other worker?"""
        return self.workers == 1

    def has_room(self) -> bool:
        """May this worker accept one more?"""
        return self._count < self._most

    def add(self, change: int) -> None:
        """Count a connection that has come or gone."""
        self._count += change
        _COUNT.pack_into(self._memory, self._place * _COUNT.size, self._count)

    def total(self) -> int:
        """Return the number of connections of all workers."""
        return sum(count for (count,) in _COUNT.iter_unpack(self._memory[:]))


class Numbers:
    """Numbers for connections that have no process of their own: unique among all workers'."""

    def __init__(self, pid: int, share: Share) -> None:
        # Multiples of the number of workers, plus one's own index.
        self._number = pid - pid % share.workers + share.index
        self._step = share.workers

    def next(self) -> int:
        """Return the next number."""
        self._number += self._step
        return self._number
