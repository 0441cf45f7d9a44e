"""Bounces as text for people and for programs: the qmail-send bounce message format (QSBMF).

A bounce body consists of paragraphs: an introduction that begins `Hi. This is
the`, one note for each failed recipient that begins `<`, a break that begins
`-`, then the message. A paragraph ends at its first blank line.

A bounce is `bounce_message_header()`, an empty line, `introduction()`, the
notes, `break_paragraph()`, and the message under its Return-Path field.
`multipart_report` puts the same text into the first part of a MIME message.
"""

from __future__ import annotations

from pyqmail.message.address import quote, quote_address
from pyqmail.message.date import rfc822_date

# Tabs and ends of lines are ordinary in the output of programs; the other
# control bytes can only do harm on the terminal that shows the bounce.
_HARMFUL = bytes({*range(32), 127} - set(b"\t\n\r"))
_HARMLESS = bytes.maketrans(_HARMFUL, b"?" * len(_HARMFUL))

_INTRODUCTION = b"""\
Hi. This is the qmail-send program at %b.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

"""
_INTRODUCTION_OF_A_DOUBLE_BOUNCE = b"""\
Hi. This is the qmail-send program at %b.
I tried to deliver a bounce message to this address, but the bounce bounced!

"""
_BREAK = b"--- Below this line is a copy of the message.\n"
_BREAK_OF_A_HEADER = b"--- Below this line is the header of the message.\n\n"
_BREAK_OF_A_DOUBLE_BOUNCE = b"--- Below this line is the original bounce.\n"
_CUT = b"It is too long to be returned whole: these are the first %d of its %d bytes.\n"


def failure_note(recipient: bytes, text: bytes) -> bytes:
    """Return the paragraph that says why `recipient` did not get the message.

    It has no blank line before its end, whatever `text` is. Where `text` ends
    in a blank line of its own there are two, as in the original.
    """
    name = recipient.replace(b"\n", b"_")
    paragraph = (b"<" + name + b">:\n" + text).translate(_HARMLESS)
    return _without_blank_lines(_tame_returns(paragraph.removesuffix(b"\n"))) + b"\n\n"


def _tame_returns(text: bytes) -> bytes:
    """Return `text` with CR only where it ends a line that has something on it.

    Many readers take a CR alone for an end of line, and CR LF after CR LF for
    a blank line: either would let a text begin a paragraph of its own.
    """
    if b"\r" not in text:
        return text
    return b"\n".join([_tame_returns_of_line(line) for line in text.split(b"\n")])


def _tame_returns_of_line(line: bytes) -> bytes:
    content = line.removesuffix(b"\r")
    ending = line[len(content) :] if content else b""
    return (content or line).replace(b"\r", b"?") + ending


def _without_blank_lines(text: bytes) -> bytes:
    """Return `text` with every LF that follows an LF turned into a slash."""
    first, *lines = text.split(b"\n")
    pieces = [first]
    previous = first
    for line in lines:
        pieces += (b"\n" if previous else b"/", line)
        previous = line
    return b"".join(pieces)


def bounce_message_header(
    now: int, bounce_from: bytes, bounce_host: bytes, recipient: bytes
) -> bytes:
    """Return the header fields of a bounce to `recipient`, without the empty line."""
    return b"Date: %b\nFrom: %b@%b\nTo: %b\nSubject: failure notice\n" % (
        rfc822_date(now),
        quote(bounce_from),
        bounce_host,
        quote_address(recipient),
    )


def introduction(bounce_host: bytes, *, double: bool = False) -> bytes:
    """Return the first paragraph; `double` if what failed is itself a bounce."""
    return (_INTRODUCTION_OF_A_DOUBLE_BOUNCE if double else _INTRODUCTION) % bounce_host


def break_paragraph(
    size: int, limit: int = 0, *, double: bool = False, header_only: bool = False
) -> bytes:
    """Return what stands between the notes and the copy of a message of `size` bytes.

    It says so if the copy ends after `limit` bytes; 0 means that it never does.
    """
    if header_only:
        return _BREAK_OF_A_HEADER
    cut = _CUT % (limit, size) if 0 < limit < size else b""
    return (_BREAK_OF_A_DOUBLE_BOUNCE if double else _BREAK) + cut + b"\n"
