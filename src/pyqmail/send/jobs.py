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
from pyqmail.send.shares import destination_of, no_shares, shares_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.message.wishes import Wishes
    from pyqmail.queue.store import Channel
    from pyqmail.send.events import Tell


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

    __slots__ = ("address", "channel", "destination", "note", "outcome", "position", "recorded")

    def __init__(self, channel: Channel, address: bytes, position: int = -1) -> None:
        self.channel = channel
        self.address = address
        self.destination = destination_of(address) if channel == "remote" else b""
        self.position = position
        self.outcome = Outcome.OPEN
        self.note = b""
        self.recorded = False  # the store knows the outcome


class Pass:
    """One walk over the recipients of a message on one channel."""

    __slots__ = (
        *("broken_off", "channel", "complete", "delays", "dying", "from_disk", "late", "message"),
        *("reading", "ready", "recording", "retry_at", "running", "telling", "told", "unresolved"),
        "waiting",
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
        self.delays: list[Tell] = []  # notices of that, for the end of the pass
        self.told = False  # they are queued, or about to be
        self.broken_off = False  # it is repeated after the next start

    @property
    def busy(self) -> bool:
        """Is anything under way for it?"""
        return bool(self.reading or self.running or self.recording or self.telling)

    @property
    def finished(self) -> bool:
        """Is there nothing to wait for any more?"""
        return self.complete and not (self.waiting or self.busy)


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

    __slots__ = ("began", "item", "number", "pass_")

    def __init__(self, number: int, pass_: Pass, item: Item, began: float) -> None:
        self.number = number
        self.began = began
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
        self._shares = shares_of(slots) if name == "remote" else no_shares(slots)
        self._aside: dict[int, Pass] = {}  # passes whose messages stand in a line
        self._set_aside: list[Pass] = []  # those that nobody has been told of

    @property
    def may_open(self) -> bool:
        """May another pass be read from disk?"""
        return self.open_passes < self.max_passes

    def queue(self, pass_: Pass) -> None:
        """Let `pass_` take part in the distribution of slots, if it has recipients waiting."""
        if pass_.waiting and not pass_.ready:
            self._shares.step_out(pass_.message.number)
            self._aside.pop(pass_.message.number, None)
            pass_.ready = True
            self._ready.append(pass_)

    def next_turn(self) -> tuple[int, Pass, Item] | None:
        """Take a free slot for the pass whose turn it is; None if there is no slot or no pass."""
        while self._free and self._ready:
            pass_ = self._ready.popleft()
            pass_.ready = False
            invited = self._shares.take_invitation(pass_.message.number)
            item = self._choose(pass_, invited)
            if item is not None:
                self._shares.enter(item.destination)
                self.queue(pass_)
            elif pass_.waiting:  # it may have been closed meanwhile
                self._put_aside(pass_)
            if invited is not None:
                self._invite(invited)
            if item is not None:
                return heapq.heappop(self._free), pass_, item
        return None

    def _choose(self, pass_: Pass, invited: bytes | None) -> Item | None:
        """Take the first recipient whose destination has room, at best where it is invited."""
        waiting = pass_.waiting
        for wanted in (invited, None) if invited is not None else (None,):
            for _ in range(len(waiting)):
                destination = waiting[0].destination
                if wanted in (None, destination) and self._shares.has_room(destination):
                    return waiting.popleft()
                waiting.rotate(-1)
        return None

    def _put_aside(self, pass_: Pass) -> None:
        number = pass_.message.number
        self._shares.stand(number, pass_.waiting[0].destination)
        self._aside[number] = pass_
        self._set_aside.append(pass_)

    def take_set_aside(self) -> list[Pass]:
        """Return the passes that have lately been put aside, to wait for a destination."""
        passes, self._set_aside = self._set_aside, []
        return passes

    def is_aside(self, pass_: Pass) -> bool:
        """Does the pass wait for room at a destination?"""
        return self._aside.get(pass_.message.number) is pass_

    def wait_without_pass(self, pass_: Pass, *, in_line: bool) -> None:
        """Forget a pass that was put aside; its message keeps its place in the line, or not."""
        number = pass_.message.number
        del self._aside[number]
        if not in_line:
            self._shares.step_out(number)

    def waiting_without_pass(self) -> list[int]:
        """Return the messages that wait for a destination, and have no pass."""
        return [number for number in self._shares.waiting() if number not in self._aside]

    def lose_pass(self, pass_: Pass) -> None:
        """Hear that a pass has ended: what was kept for it is for others."""
        number = pass_.message.number
        if self._aside.get(number) is pass_:
            self.wait_without_pass(pass_, in_line=False)
        invited = self._shares.take_invitation(number)
        if invited is not None:
            self._invite(invited)

    def _invite(self, destination: bytes) -> None:
        while (number := self._shares.invite(destination)) is not None:
            pass_ = self._aside.pop(number, None)
            if pass_ is None:
                self.agenda.put(number, 0)
            else:
                self.queue(pass_)

    def release(self, slot: int, now: float, *, answered: bool) -> Delivery:
        """Give a slot back; return the delivery that it was taken for."""
        heapq.heappush(self._free, slot)
        delivery = self.running.pop(slot)
        destination = delivery.item.destination
        self._shares.learn(destination, now - delivery.began, answered=answered)
        self._shares.leave(destination)
        self._invite(destination)
        return delivery

    def drop_ready(self) -> Iterator[Pass]:
        """Yield the passes that wait for slots, and forget them."""
        for pass_ in list(self._aside.values()):
            self.queue(pass_)
        while self._ready:
            pass_ = self._ready.popleft()
            pass_.ready = False
            yield pass_
