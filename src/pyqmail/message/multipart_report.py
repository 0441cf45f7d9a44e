"""Reports as MIME: multipart/report (RFC 6522) around the text of `report` or `notice`.

The parts are the text for people, `delivery_status` for programs, and the
message. Nothing is encoded: a part is its bytes, and its label tells the truth
about them. Texts are read in pieces, and twice: to find a boundary that is not
in them, and to write them down.
"""

from __future__ import annotations

from pyqmail.message import delivery_status
from pyqmail.message.content import Characters, Form, HeaderCharacters
from pyqmail.message.date import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

    from pyqmail.message.wishes import Wishes

    # Gives the pieces of a text, from its beginning, each time it is called.
    Text = Callable[[], Iterable[bytes]]

_ENCODINGS: Final = (b"7bit", b"8bit", b"binary")  # each can hold what those before it can


class Report:
    """What became of a message, told to people and to programs.

    `text` is for people; `notes` is what it says about the recipients, and
    `message` what is returned. `arrival` is when the message came to `host`;
    `wishes` are what its sender asked for. Attempts, if there are more, end at `retry_until`.
    """

    __slots__ = (
        *("_action", "_arrival", "_host", "_message", "_notes", "_retry_until"),
        *("_text", "_wishes"),
    )

    def __init__(  # noqa: PLR0913, PLR0917  what a report is made of
        self,
        text: Text,
        notes: Text,
        message: Text,
        host: bytes,
        arrival: int,
        wishes: Wishes | None = None,
        action: delivery_status.Action = delivery_status.FAILED,
        retry_until: int | None = None,
    ) -> None:
        self._wishes = wishes
        self._action = action
        self._retry_until = retry_until
        self._text = text
        self._notes = notes
        self._message = message
        self._host = host
        self._arrival = arrival

    def pieces(self, header: bytes, now: int, unique: Callable[[], bytes]) -> Iterator[bytes]:
        """Yield the whole message: `header`, the fields of MIME, and the three parts.

        `unique` gives a word that nobody can guess, another at each call: the
        boundary, and the first one that is not in the texts.
        """
        boundary = unique()
        while (labels := self._labels(boundary)) is None:
            boundary = unique()
        text, status, message = labels
        yield header
        yield b"Message-ID: <%b.%b.qmail@%b>\n" % (stamp(now), boundary, self._host)
        yield b"Auto-Submitted: auto-replied\n"  # RFC 3834 §5
        yield b"MIME-Version: 1.0\n"
        report_type = status.content_type.rpartition(b"/")[2]  # RFC 6522 §3
        yield b"Content-Type: multipart/report; report-type=%b;\n" % report_type
        yield b' boundary="%b"\n' % boundary
        yield _encoding_field(max((label.encoding for label in labels), key=_ENCODINGS.index))
        yield text.border(boundary)
        yield from self._text()
        yield status.border(boundary)
        yield from self._status(international=status.content_type == delivery_status.UTF8_TYPE)
        yield message.border(boundary)
        yield from self._message()
        yield b"\n--%b--\n" % boundary

    def _labels(self, boundary: bytes) -> tuple[_Label, _Label, _Label] | None:
        """Return the labels of the three parts; None if `boundary` is in one of them."""
        text, characters = Form(boundary), Characters()
        for piece in self._text():
            text.feed(piece)
            characters.feed(piece)
        message, header = Form(boundary), HeaderCharacters()
        for piece in self._message():
            message.feed(piece)
            header.feed(piece)
        if text.has_boundary or message.has_boundary:
            return None
        return (
            _Label(b"text/plain; charset=" + characters.charset, text.encoding),
            self._status_label(is_ascii=characters.charset == b"us-ascii"),
            # RFC 6533 §5: what RFC 5322 cannot say is no message/rfc822.
            _Label(self._message_type(international=header.is_international), message.encoding),
        )

    def _message_type(self, *, international: bool) -> bytes:
        if self._wishes is not None and self._wishes.returns_header_only:
            # RFC 6522 §4, RFC 6533 §5
            return b"message/global-headers" if international else b"text/rfc822-headers"
        return b"message/global" if international else b"message/rfc822"

    def _status_label(self, *, is_ascii: bool) -> _Label:
        if not is_ascii and any(
            delivery_status.is_international(note.recipient)
            for note in delivery_status.parse_notes(self._notes())
        ):
            return _Label(delivery_status.UTF8_TYPE, b"8bit")
        return _Label(delivery_status.ASCII_TYPE, b"7bit")

    def _status(self, *, international: bool) -> Iterator[bytes]:
        wishes = self._wishes
        envelope_id = b"" if wishes is None else wishes.original_envelope_id
        yield delivery_status.message_fields(self._host, self._arrival, envelope_id)
        for note in delivery_status.parse_notes(self._notes()):
            original = b"" if wishes is None else wishes.of(note.recipient).original_recipient
            yield delivery_status.recipient_fields(
                note,
                self._action,
                international=international,
                original=original,
                retry_until=self._retry_until,
            )


class _Label:
    """What the header of a part says; a value."""

    __slots__ = ("content_type", "encoding")

    def __init__(self, content_type: bytes, encoding: bytes) -> None:
        self.content_type = content_type
        self.encoding = encoding

    def border(self, boundary: bytes) -> bytes:
        """Return what stands before the part; its first LF belongs to no part (RFC 2046 §5.1.1)."""
        field = _encoding_field(self.encoding)
        return b"\n--%b\nContent-Type: %b\n%b\n" % (boundary, self.content_type, field)


def _encoding_field(encoding: bytes) -> bytes:
    return b"" if encoding == _ENCODINGS[0] else b"Content-Transfer-Encoding: %b\n" % encoding
