"""What qmail-send remembers of messages while it works on them.

A *pass* is one walk over the recipients of one message on one channel. It
holds a window of them, not all: a message may have a million. A channel has
slots, one for each delivery that may run at once, and gives them to its passes
in turn, so that a long list delays nobody else.
"""

from __future__ import annotations

import heapq
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from pyqmail.send.schedule import Agenda

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.message.wishes import Wishes
    from pyqmail.queue.store import Channel


class State(Enum):
    """How far a message is; docs/queue.md has the states on disk."""

    READING = auto()  # new, and its envelope is being read
    NEW = auto()  # its recipients are in memory; on disk it is untouched
    SETTLING = auto()  # being written down
    SETTLED = auto()
    BOUNCING = auto()  # its sender is being told
    REMOVING = auto()


class Outcome(Enum):
    """What became of a recipient in this pass."""

    OPEN = auto()
    DEFERRED = auto()
    DONE = auto()
    FAILED = auto()


class Item:
    """One recipient of a pass. `position` is its name in the store, once it is settled."""

    __slots__ = ("address", "channel", "note", "outcome", "position", "recorded")

    def __init__(self, channel: Channel, address: bytes, position: int = -1) -> None:
        self.channel = channel
        self.address = address
        self.position = position
        self.outcome = Outcome.OPEN
        self.note = b""
        self.recorded = False  # the store knows the outcome


class Pass:
    """One walk over the recipients of a message on one channel."""

    __slots__ = (
        *("channel", "complete", "dying", "from_disk", "message", "reading", "ready"),
        *("late", "recording", "retry_at", "running", "telling", "unresolved", "waiting"),
    )

    def __init__(self, message: Message, channel: Channel, *, from_disk: bool) -> None:
        self.message = message
        self.channel = channel
        self.from_disk = from_disk  # counts as open; else it is a first pass
        self.waiting: deque[Item] = deque()
        self.ready = False  # stands in the queue of its channel
        self.reading = False  # more recipients are on their way
        self.complete = False  # no more recipients will come
        self.running = 0  # deliveries
        self.recording = 0  # failures that are being written down
        self.telling = 0  # deliveries whose notices are awaited
        self.unresolved = 0  # recipients that need another pass
        self.retry_at: float = 0
        self.dying = False
        self.late = False  # who is deferred now is delayed

    @property
    def finished(self) -> bool:
        """Is there nothing to wait for any more?"""
        return self.complete and not (
            self.waiting or self.reading or self.running or self.recording or self.telling
        )


class Message:
    """A message that is queued."""

    __slots__ = (
        *("birth", "channels", "due_at_start", "items", "late_channels", "may_have_notes"),
        *("not_before", "notices", "number", "passes", "reverse_path", "seen_again"),
        *("settle_failed", "settled", "state", "wishes"),
    )

    def __init__(self, number: int, state: State) -> None:
        self.number = number
        self.state = state
        self.settled = state is State.SETTLED
        self.settle_failed = False
        self.seen_again = False  # listed as new while it was being removed
        self.reverse_path = b""
        self.birth = 0
        self.items: list[Item] = []  # all recipients, while it is new
        self.channels: frozenset[Channel] = frozenset()  # those with recipients left, once settled
        self.passes: dict[Channel, Pass] = {}
        self.notices: frozenset[bytes] = frozenset()  # what its sender may want to be told
        self.wishes: Wishes | None = None  # for whoever delivers; only while there is a pass
        self.late_channels: set[Channel] = set()  # those whose delay was noticed
        self.due_at_start: dict[Channel, int] = {}  # if it is from an earlier run
        self.may_have_notes = False
        self.not_before: float = 0  # when its sender may be told, after trouble

    @property
    def notes(self) -> bytes:
        """The notes of failures that are in memory."""
        return b"".join(item.note for item in self.items if item.outcome is Outcome.FAILED)


class Delivery:
    """A delivery that runs; `number` is its name in the log."""

    __slots__ = ("item", "number", "pass_")

    def __init__(self, number: int, pass_: Pass, item: Item) -> None:
        self.number = number
        self.pass_ = pass_
        self.item = item


class ChannelState:
    """The slots of a channel, who waits for them, and who is due later."""

    def __init__(self, name: Channel, slots: int) -> None:
        self.name = name
        self.slots = slots
        # Passes from disk that may be open at once: enough to fill all slots while
        # some passes only wait for their last reports.
        self.max_passes = 2 * slots + 10 if slots else 0
        self.open_passes = 0
        self.running: dict[int, Delivery] = {}
        self.agenda = Agenda()
        self._ready: deque[Pass] = deque()
        self._free = list(range(slots))  # a heap: the lowest free slot is used first

    @property
    def may_open(self) -> bool:
        """May another pass be read from disk?"""
        return self.open_passes < self.max_passes

    def queue(self, pass_: Pass) -> None:
        """Let `pass_` take part in the distribution of slots, if it has recipients waiting."""
        if pass_.waiting and not pass_.ready:
            pass_.ready = True
            self._ready.append(pass_)

    def next_turn(self) -> tuple[int, Pass, Item] | None:
        """Take a free slot for the pass whose turn it is; None if there is no slot or no pass."""
        while self._free and self._ready:
            pass_ = self._ready.popleft()
            pass_.ready = False
            if pass_.waiting:  # it may have been closed meanwhile
                item = pass_.waiting.popleft()
                self.queue(pass_)
                return heapq.heappop(self._free), pass_, item
        return None

    def release(self, slot: int) -> Delivery:
        """Give a slot back; return the delivery that it was taken for."""
        heapq.heappush(self._free, slot)
        return self.running.pop(slot)

    def drop_ready(self) -> Iterator[Pass]:
        """Yield the passes that wait for slots, and forget them."""
        while self._ready:
            pass_ = self._ready.popleft()
            pass_.ready = False
            yield pass_
