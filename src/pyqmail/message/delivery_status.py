"""What became of each recipient, for programs: message/delivery-status (RFC 3464).

All is taken from the notes that the bounce shows to people: they are what the
queue keeps, also where another qmail wrote them. The fields are in lines of
their own making: nothing in a note can begin another one.
"""

from __future__ import annotations

from pyqmail.message.address import needs_quotes, quote, split_address
from pyqmail.message.date import rfc822_date

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

ASCII_TYPE: Final = b"message/delivery-status"
UTF8_TYPE: Final = b"message/global-delivery-status"  # RFC 6533 §4

MAX_REPLY_LINE: Final = 512  # bytes; RFC 5321 §4.5.3.1.5
MAX_DOMAIN: Final = 255  # bytes; RFC 5321 §4.5.3.1.2
# Bytes of an address that are shown: RFC 5321 §4.5.3.1.3 allows 256, a line of 7bit has 998.
MAX_ADDRESS: Final = 900
MAX_DIGITS: Final = 3  # of each number of an enhanced status code; RFC 3463 §2
REPLY_DIGITS: Final = 3  # RFC 5321 §4.2

_REMOTE_SAID = b"Remote host said: "
_CONTROLS = bytes({*range(32), 127})
_HIGH = bytes(range(128, 256))
_NO_CONTROLS = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))
_ASCII_ONLY = bytes.maketrans(_CONTROLS + _HIGH, b"?" * (len(_CONTROLS) + len(_HIGH)))
_HIGH_AS_LETTERS = bytes.maketrans(_HIGH, b"x" * len(_HIGH))
_DOMAIN_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."


class Action:
    """What became of a recipient, in the word of RFC 3464 §2.3.3; a value.

    `classes` are those that an enhanced status code for it can have. `unknown` is
    the code where no more is known (RFC 3463 §3.1).
    """

    __slots__ = ("classes", "name", "unknown")

    def __init__(self, name: bytes, classes: bytes, unknown: bytes) -> None:
        self.name = name
        self.classes = classes
        self.unknown = unknown


# Class 4 can be that of a failure: qmail-send gave up after it.
FAILED: Final = Action(b"failed", b"45", b"5.0.0")
DELAYED: Final = Action(b"delayed", b"4", b"4.0.0")
DELIVERED: Final = Action(b"delivered", b"2", b"2.0.0")
RELAYED: Final = Action(b"relayed", b"2", b"2.0.0")
EXPANDED: Final = Action(b"expanded", b"2", b"2.0.0")


class Note:
    """One recipient, and the words that say what became of the message; a value."""

    __slots__ = ("recipient", "text")

    def __init__(self, recipient: bytes, text: bytes) -> None:
        self.recipient = recipient
        self.text = text


def parse_notes(pieces: Iterable[bytes]) -> Iterator[Note]:
    """Yield what the notes of a bounce say; what is no note is passed over."""
    rest = b""
    for piece in pieces:
        *paragraphs, rest = (rest + piece).split(b"\n\n")
        for paragraph in paragraphs:
            yield from _parse_note(paragraph)
    yield from _parse_note(rest)


def _parse_note(paragraph: bytes) -> Iterator[Note]:
    first, _, text = paragraph.lstrip(b"\n").partition(b"\n")
    if first.startswith(b"<") and first.endswith(b">:"):
        yield Note(first[1:-2], text)


def is_international(recipient: bytes) -> bool:
    """Does the address need RFC 6533? Bytes that are no UTF-8 are beyond help."""
    return not recipient.isascii() and _is_utf8(recipient)


def message_fields(reporting_mta: bytes, arrival: int, envelope_id: bytes = b"") -> bytes:
    """Return the fields about the message as a whole (RFC 3464 §2.2)."""
    original = b"Original-Envelope-Id: %b\n" % envelope_id.translate(_ASCII_ONLY)
    return (original if envelope_id else b"") + b"Reporting-MTA: dns; %b\nArrival-Date: %b\n" % (
        reporting_mta[:MAX_DOMAIN].translate(_ASCII_ONLY),
        rfc822_date(arrival),
    )


def recipient_fields(
    note: Note,
    action: Action = FAILED,
    *,
    international: bool,
    original: bytes = b"",
    retry_until: int | None = None,
) -> bytes:
    """Return the fields about one recipient (RFC 3464 §2.3), after their empty line.

    `international`: they go into a part of `UTF8_TYPE`. `original` is the
    recipient as the sender wrote it, with its type; `retry_until` the time when
    attempts will end.
    """
    reply = _quoted_reply(note.text)
    fields = [b"Original-Recipient: " + original.translate(_ASCII_ONLY)] if original else []
    fields += [
        b"Final-Recipient: " + _typed_address(note.recipient),
        b"Action: " + action.name,
        b"Status: " + _status(note.text, reply, action),
    ]
    if reply:
        host = _remote_host(note.text)
        fields += [b"Remote-MTA: dns; " + host] if host else []
        lines = [_plain(line[:MAX_REPLY_LINE], international=international) for line in reply]
        fields.append(b"Diagnostic-Code: smtp; " + b"\n ".join(lines))
    if retry_until is not None:
        fields.append(b"Will-Retry-Until: " + rfc822_date(retry_until))
    return b"\n" + b"\n".join(fields) + b"\n"


def _plain(text: bytes, *, international: bool) -> bytes:
    """Return `text` for a field: one line, and in the character set of the part."""
    keeps_utf8 = international and _is_utf8(text)
    return text.translate(_NO_CONTROLS if keeps_utf8 else _ASCII_ONLY)


def _typed_address(recipient: bytes) -> bytes:
    local, domain = split_address(recipient)
    local = local if not needs_quotes(local.translate(_HIGH_AS_LETTERS)) else quote(local)
    address = local if domain is None else local + b"@" + domain
    if not is_international(recipient):
        return b"rfc822; " + address[:MAX_ADDRESS].translate(_ASCII_ONLY)
    # RFC 6533 §3: these have a meaning of their own, or would end the address.
    for character in b"\\+= ":  # the backslash first: the others add some
        address = address.replace(bytes((character,)), b"\\x{%02X}" % character)
    shown = address[:MAX_ADDRESS].decode(errors="ignore").encode()  # no half of a character
    return b"utf-8; " + shown.translate(_NO_CONTROLS)


def _status(text: bytes, reply: list[bytes], action: Action) -> bytes:
    """Return the enhanced status code: as qmail writes it, or as the remote host says it."""
    _, *pieces = text.split(b"(#")
    candidates = [piece.partition(b")")[0] for piece in pieces]
    candidates += [line[REPLY_DIGITS + 1 :].partition(b" ")[0] for line in reply]
    fitting = (code for code in candidates if _is_status(code, action.classes))
    return next(fitting, action.unknown)


def _is_status(code: bytes, classes: bytes) -> bool:
    """Say whether `code` is an enhanced status code (RFC 3463 §2) of one of `classes`."""
    first, _, rest = code.partition(b".")
    subject, _, detail = rest.partition(b".")
    return (
        len(first) == 1
        and first in classes
        and all(
            number.isdigit()
            and len(number) <= MAX_DIGITS
            and (number == b"0" or number[:1] != b"0")
            for number in (subject, detail)
        )
    )


def _quoted_reply(text: bytes) -> list[bytes]:
    """Return the lines of the SMTP reply that qmail-remote quotes; none if there is none."""
    _, marker, rest = (b"\n" + text).partition(b"\n" + _REMOTE_SAID)
    reply: list[bytes] = []
    for line in rest.replace(b"\r", b"").split(b"\n") if marker else ():
        code = line[:REPLY_DIGITS]
        if (
            len(code) < REPLY_DIGITS
            or not code.isdigit()
            or (reply and code != reply[0][:REPLY_DIGITS])
        ):
            break
        reply.append(line)
        if line[REPLY_DIGITS:][:1] != b"-":
            break
    return reply


def _remote_host(text: bytes) -> bytes:
    """Return the host that the line before its reply names, as RFC 3464 §2.1.2 wants it."""
    before = (b"\n" + text).partition(b"\n" + _REMOTE_SAID)[0]
    name = before.rpartition(b"\n")[2].removeprefix(b"Connected to ").partition(b" ")[0]
    if not name or len(name) > MAX_DOMAIN:
        return b""
    if not name.translate(None, b"0123456789."):
        return b"[" + name + b"]"
    if b":" in name and not name.translate(None, b"0123456789abcdefABCDEF:."):
        return b"[IPv6:" + name + b"]"
    return b"" if name.translate(None, _DOMAIN_BYTES) else name


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
