"""What qmail-send tells a sender who asked to hear of success or delay; qmail-bounce(5)."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyqmail.message import notice, report
from pyqmail.message.delivery_status import DELAYED, DELIVERED, EXPANDED, RELAYED, Action
from pyqmail.message.envelope import DOUBLE_BOUNCE, NULL, VERP_SUFFIX
from pyqmail.message.multipart_report import Report
from pyqmail.message.trace import return_path_line
from pyqmail.message.wishes import DELAY, SUCCESS
from pyqmail.protocol.spawn import PASSED_ON
from pyqmail.send.bounces import BounceMessage, header_section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyqmail.message.wishes import Wishes
    from pyqmail.queue.store import Channel
    from pyqmail.send.bounces import BounceSettings, Text
    from pyqmail.send.events import Tell


_COUNTS: Final = 3  # files, forwards, programs


def success(channel: Channel, text: bytes) -> Action | None:
    """Return what a delivery that succeeded was; None if the next host will tell the sender."""
    if channel == "remote":
        return None if text.endswith(PASSED_ON) else RELAYED
    files, forwards, programs = _count(text)
    if files or programs or not forwards:
        return DELIVERED
    # Forwarded mail has an envelope of its own, without the wishes. RFC 3464 §2.3.3
    return EXPANDED if forwards > 1 else RELAYED


def _count(text: bytes) -> tuple[int, int, int]:
    """Return what qmail-local's report counts, at its end; another program may count nothing."""
    for line in reversed(text.splitlines()):
        if line.startswith(b"did "):
            counts = line.removeprefix(b"did ").split(b"+")
            if len(counts) == _COUNTS and all(map(bytes.isdigit, counts)):
                return int(counts[0]), int(counts[1]), int(counts[2])
    return 0, 0, 0


def is_told(reverse_path: bytes) -> bool:
    """Is there a sender who can be told anything?"""
    return reverse_path not in (NULL, DOUBLE_BOUNCE, VERP_SUFFIX)


def is_wanted(tell: Tell, wishes: Wishes) -> bool:
    """Did the sender ask to be told this of this recipient?"""
    return wishes.of(tell.recipient).hears_of(DELAY if tell.action is DELAYED else SUCCESS)


def compose(  # noqa: PLR0913  what a notice is made of
    tell: Tell,
    wishes: Wishes,
    settings: BounceSettings,
    *,
    arrival: int,
    read: Text,
    now: int,
    unique: Callable[[], bytes] = lambda: secrets.token_hex(16).encode(),
) -> BounceMessage:
    """Return the notice that `tell` wants; `read` gives the message that it is about."""
    sender = tell.reverse_path.removesuffix(VERP_SUFFIX)
    note = report.failure_note(tell.recipient, tell.text)

    def text() -> Iterator[bytes]:
        yield notice.introduction(tell.action, settings.bouncehost, tell.retry_until)
        yield note
        yield notice.BREAK

    def copy() -> Iterator[bytes]:
        yield return_path_line(sender)
        yield from header_section(read())

    told = Report(
        text,
        lambda: (note,),
        copy,
        settings.bouncehost,
        arrival,
        # RFC 3461 §4.3: where nothing has failed, only the header section goes back.
        replace(wishes, returns=b"HDRS"),
        tell.action,
        tell.retry_until,
    )
    header = notice.header(tell.action, now, settings.bouncefrom, settings.bouncehost, sender)
    return BounceMessage(NULL, sender, told.pieces(header, now, unique))
