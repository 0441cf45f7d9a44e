"""What a sender is told of mail that has not failed: it has arrived, or it is late (RFC 3461).

The texts look like those of a bounce (`report`) but for their first words: nobody who
knows bounces by `Hi. This is the` may take a notice for one.
"""

from __future__ import annotations

from pyqmail.message import delivery_status
from pyqmail.message.address import quote, quote_address
from pyqmail.message.date import rfc822_date

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_SUBJECTS: Final = {
    delivery_status.DELIVERED: b"delivery notice",
    delivery_status.RELAYED: b"relay notice",
    delivery_status.EXPANDED: b"delivery notice",
    delivery_status.DELAYED: b"delay notice",
}
_WORDS: Final = {
    delivery_status.DELIVERED: b"Your message has been delivered to the following address.\n",
    delivery_status.RELAYED: (
        b"I have passed your message on for the following address.\n"
        b"Whoever has it now may not tell you when it is delivered.\n"
    ),
    delivery_status.EXPANDED: (
        b"I have passed your message on to all who stand behind the following address.\n"
        b"You will not be told when it is delivered to each of them.\n"
    ),
    delivery_status.DELAYED: (
        b"I haven't been able to deliver your message to the following address yet.\n"
        b"You need not do anything: I will keep trying until %b.\n"
    ),
}
_OPENING: Final = b"You asked the qmail-send program at %b to tell you.\n"
BREAK: Final = b"--- Below this line is the header of the message.\n\n"


def header(
    action: delivery_status.Action, now: int, author: bytes, host: bytes, recipient: bytes
) -> bytes:
    """Return the header fields of a notice to `recipient`, without the empty line."""
    return b"Date: %b\nFrom: %b@%b\nTo: %b\nSubject: %b\n" % (
        rfc822_date(now),
        quote(author),
        host,
        quote_address(recipient),
        _SUBJECTS[action],
    )


def introduction(action: delivery_status.Action, host: bytes, retry_until: int | None) -> bytes:
    """Return the first paragraph."""
    words = _WORDS[action]
    if retry_until is not None:
        words %= rfc822_date(retry_until)
    return _OPENING % host + words + b"\n"
