"""Bounces as text for people and for programs: the qmail-send bounce message format (QSBMF).

A bounce body consists of paragraphs: an introduction that begins `Hi. This is
the`, one note for each failed recipient that begins `<`, a break that begins
`-`, then the message. A paragraph ends at its first blank line.

A bounce is `bounce_message_header()`, an empty line, `introduction()`, the
notes, `break_paragraph()`, and the message. Whoever wants other fields puts
them after the header, and other parts after the notes.
"""

from __future__ import annotations

from pyqmail.message.address import quote, quote_address
from pyqmail.message.date import rfc822_date
from pyqmail.message.trace import return_path_line

# Tabs, line feeds and carriage returns are ordinary in the output of programs;
# the other control bytes can only do harm on the terminal that shows the bounce.
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
_BREAK = b"--- Below this line is a copy of the message.\n\n"
_BREAK_OF_A_DOUBLE_BOUNCE = b"--- Below this line is the original bounce.\n\n"


def failure_note(recipient: bytes, text: bytes) -> bytes:
    """Return the paragraph that says why `recipient` did not get the message.

    It has no blank line before its end, whatever `text` is. Where `text` ends
    in a blank line of its own there are two, as in the original.
    """
    name = recipient.replace(b"\n", b"_")
    paragraph = (b"<" + name + b">:\n" + text).translate(_HARMLESS)
    return _without_blank_lines(paragraph.removesuffix(b"\n")) + b"\n\n"


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


def break_paragraph(reverse_path: bytes, *, double: bool = False) -> bytes:
    """Return what stands between the notes and the message, which came from `reverse_path`."""
    return (_BREAK_OF_A_DOUBLE_BOUNCE if double else _BREAK) + return_path_line(reverse_path)
