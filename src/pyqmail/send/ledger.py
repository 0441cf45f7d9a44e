"""What the parts of the core share: messages, channels, the time, and what is to be done.

Each part (`arrivals`, `passes`, `deliveries`, `endings`) reads and changes the
ledger; only `core` takes the actions out of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyqmail.queue.store import CHANNELS
from pyqmail.send import events, log
from pyqmail.send.jobs import ChannelState
from pyqmail.send.schedule import Agenda

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyqmail.queue.store import Channel
    from pyqmail.send.jobs import Message
    from pyqmail.send.routing import Routing

# seconds
TROUBLE_PAUSE: Final = 123  # after a failure of this machine; the original's
ASIDE_PAUSE: Final = 1500  # a damaged message is looked at again, a human may have mended it
SLEEP: Final = 10  # the original stands still so long where it says "sleeping..."; we do not


class Ledger:
    """The memory of the core."""

    def __init__(self, concurrency: Mapping[Channel, int], routing: Routing) -> None:
        self.now: float = 0
        self.exiting = False
        self.routing = routing
        self.messages: dict[int, Message] = {}
        self.channels = {name: ChannelState(name, concurrency[name]) for name in CHANNELS}
        self.done = Agenda()  # messages without recipients, to be bounced or removed
        self.in_flight = 0  # actions whose answers are awaited
        self._actions: list[events.Action] = []

    def emit(self, action: events.Action) -> None:
        """Have something done, after all before it."""
        if type(action) in events.ANSWERED:
            self.in_flight += 1
        self._actions.append(action)

    def log(self, line: bytes) -> None:
        """Have a line written into the log."""
        self._actions.append(events.Log(line))

    def log_status(self) -> None:
        """Have the log say how many deliveries run."""
        used = [(c.name.encode(), len(c.running), c.slots) for c in self.channels.values()]
        self.log(log.status(used, exiting=self.exiting))

    def take_actions(self) -> list[events.Action]:
        """Return what is to be done, and forget it."""
        actions, self._actions = self._actions, []
        return actions
