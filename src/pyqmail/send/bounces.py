"""What qmail-send tells the sender of a message that failed for good; qmail-send(8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.message import report
from pyqmail.message.envelope import DOUBLE_BOUNCE, NULL, VERP_SUFFIX

if TYPE_CHECKING:
    from pyqmail.send.routing import Routing

GAVE_UP: Final = b"I'm not going to try again; this message has been in the queue too long.\n"


@dataclass(frozen=True, slots=True)
class BounceSettings:
    """What the control files say about bounces."""

    bouncefrom: bytes
    bouncehost: bytes
    doublebounce_address: bytes


@dataclass(frozen=True, slots=True)
class BounceMessage:
    """A bounce but for the message that it returns: what comes before it, and its envelope."""

    reverse_path: bytes
    forward_path: bytes
    text: bytes


def note(address: bytes, text: bytes, routing: Routing) -> bytes:
    """Return the paragraph about one recipient, named as the sender knows it."""
    return report.failure_note(routing.original(address), text)


def compose(
    reverse_path: bytes, notes: bytes, settings: BounceSettings, now: int
) -> BounceMessage | None:
    """Return the bounce for a message from `reverse_path`; None if nobody is to be told.

    A failed message makes a bounce, a failed bounce a double bounce to the
    administrator, and a failed double bounce nothing: so there is no loop.
    """
    if reverse_path == DOUBLE_BOUNCE:
        return None
    sender = reverse_path.removesuffix(VERP_SUFFIX)
    double = sender == NULL
    recipient = settings.doublebounce_address if double else sender
    text = (
        report.bounce_message_header(now, settings.bouncefrom, settings.bouncehost, recipient)
        + b"\n"
        + report.introduction(settings.bouncehost, double=double)
        + notes
        + report.break_paragraph(sender, double=double)
    )
    return BounceMessage(DOUBLE_BOUNCE if double else NULL, recipient, text)
