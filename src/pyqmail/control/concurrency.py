"""How many deliveries may run at once, and what that means between qmail-send and a spawner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.control.files import read_integer
from pyqmail.control.launchers import is_ours
from pyqmail.protocol.spawn import slot_width

if TYPE_CHECKING:
    from typing import Final, Literal

    Channel = Literal["local", "remote"]

_DEFAULTS: Final[dict[Channel, int]] = {"local": 10, "remote": 20}
_SPAWNERS: Final[dict[Channel, str]] = {"local": "qmail-lspawn", "remote": "qmail-rspawn"}


def read_concurrency(home: str, channel: Channel) -> int:
    """Return the number in control/concurrencylocal or concurrencyremote."""
    return read_integer(home, "concurrency" + channel, _DEFAULTS[channel])


def read_slot_width(home: str, channel: Channel) -> int:
    """Return how many bytes a slot takes between qmail-send and the spawner of a channel.

    Both ends ask here. Another program in the place of one of them knows
    one byte only.
    """
    return slot_width(read_concurrency(home, channel)) if both_are_ours(home, channel) else 1


def both_are_ours(home: str, channel: Channel) -> bool:
    """Are qmail-send and the spawner of a channel ours, so that they may say more than others?"""
    return is_ours(home, "qmail-send") and is_ours(home, _SPAWNERS[channel])
