"""What qmail-send tells the sender of a message that failed for good; qmail-bounce(5)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyqmail.message import report
from pyqmail.message.envelope import DOUBLE_BOUNCE, NULL, VERP_SUFFIX
from pyqmail.message.multipart_report import Report
from pyqmail.message.trace import return_path_line
from pyqmail.message.wishes import Wishes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyqmail.send.routing import Routing

    # Gives the pieces of a text, from its beginning, each time it is called.
    Text = Callable[[], Iterable[bytes]]

GAVE_UP: Final = b"I'm not going to try again; this message has been in the queue too long.\n"


@dataclass(frozen=True, slots=True)
class BounceSettings:
    """What the control files say about bounces."""

    bouncefrom: bytes
    bouncehost: bytes
    doublebounce_address: bytes
    is_multipart: bool
    bouncemaxbytes: int  # 0: no limit


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """A message that failed, with the notes that say for whom and why."""

    reverse_path: bytes
    size: int
    arrival: int  # Unix time
    read: Text
    read_notes: Text
    wishes: Wishes = field(default_factory=Wishes)


@dataclass(frozen=True, slots=True)
class BounceMessage:
    """A bounce, in pieces that are read once, and its envelope."""

    reverse_path: bytes
    forward_path: bytes
    pieces: Iterator[bytes]


def note(address: bytes, text: bytes, routing: Routing) -> bytes:
    """Return the paragraph about one recipient, named as the sender knows it."""
    return report.failure_note(routing.original(address), text)


def compose(
    failed: FailedMessage,
    settings: BounceSettings,
    now: int,
    unique: Callable[[], bytes] = lambda: secrets.token_hex(16).encode(),
) -> BounceMessage | None:
    """Return the bounce for a message; None if nobody is to be told.

    A failed message makes a bounce, a failed bounce a double bounce to the
    administrator, and a failed double bounce nothing: so there is no loop.
    """
    if failed.reverse_path == DOUBLE_BOUNCE:
        return None
    sender = failed.reverse_path.removesuffix(VERP_SUFFIX)
    double = sender == NULL
    recipient = settings.doublebounce_address if double else sender
    header = report.bounce_message_header(now, settings.bouncefrom, settings.bouncehost, recipient)
    limit = settings.bouncemaxbytes
    notes = _wanted_notes(failed)

    def text() -> Iterator[bytes]:
        yield report.introduction(settings.bouncehost, double=double)
        yield from notes()
        yield report.break_paragraph(
            failed.size, limit, double=double, header_only=failed.wishes.returns_header_only
        )

    def copy() -> Iterator[bytes]:
        yield return_path_line(sender)
        copied = failed.read()
        if failed.wishes.returns_header_only:
            copied = header_section(copied)
        yield from _first_bytes(copied, limit) if limit else copied

    if settings.is_multipart:
        told = Report(text, notes, copy, settings.bouncehost, failed.arrival, failed.wishes)
        pieces = told.pieces(header, now, unique)
    else:
        pieces = _original_form(header, text, copy)
    return BounceMessage(DOUBLE_BOUNCE if double else NULL, recipient, pieces)


def anybody_is_told(failed: FailedMessage) -> bool:
    """Is there a failure that the sender wants to hear of?"""
    return not failed.wishes.recipients or any(map(bytes.strip, _wanted_notes(failed)()))


def _wanted_notes(failed: FailedMessage) -> Text:
    """Return the notes without those of recipients whose failure the sender wants not to hear."""
    wishes = failed.wishes
    if all(each.hears_of_failure for each in wishes.recipients.values()):
        return failed.read_notes

    def read() -> Iterator[bytes]:
        rest = b""
        for piece in failed.read_notes():
            *paragraphs, rest = (rest + piece).split(b"\n\n")
            for paragraph in paragraphs:
                name = paragraph.lstrip(b"\n").partition(b"\n")[0]
                if wishes.of(name[1:-2]).hears_of_failure:
                    yield paragraph + b"\n\n"
        yield rest

    return read


def header_section(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the header section and no more."""
    last = b"\n"  # the empty line may begin at once, or at the end of a piece
    for piece in pieces:
        end = (last + piece).find(b"\n\n")
        if end >= 0:
            yield piece[: max(0, end + 1 - len(last))]
            return
        yield piece
        last = piece[-1:]


def _original_form(header: bytes, text: Text, copy: Text) -> Iterator[bytes]:
    yield header + b"\n"
    yield from text()
    yield from copy()


def _first_bytes(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:limit]
        limit -= len(piece)
        if limit <= 0:
            return
