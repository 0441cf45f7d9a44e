"""The lines that are put on top of a message on its way (RFC 5321 §4.4).

Each function returns one line with its final LF. What a peer or a user chose
cannot make it two: a line feed inside becomes `_` or `-`.
"""

from __future__ import annotations

from pyqmail.message.address import quote_address
from pyqmail.message.date import ctime_date, rfc822_date

_NO_BLANKS = bytes.maketrans(b" \t\n", b"---")


def received_line(pid: int, how: bytes, now: int) -> bytes:
    """Return qmail-queue's field; `how` is `by uid 1000`, `from network`, `for bounce`, …."""
    return b"Received: (qmail %d invoked %b); %b\n" % (pid, how, rfc822_date(now))


def return_path_line(reverse_path: bytes) -> bytes:
    """Return the Return-Path field that final delivery adds."""
    return b"Return-Path: <%b>\n" % quote_address(reverse_path).replace(b"\n", b"_")


def delivered_to_line(local: bytes, domain: bytes) -> bytes:
    """Return the Delivered-To field: the mark by which a loop is found."""
    return b"Delivered-To: %b\n" % b"@".join((local, domain)).replace(b"\n", b"_")


def mbox_from_line(reverse_path: bytes, now: int) -> bytes:
    """Return the line that begins an entry of an mbox."""
    name = reverse_path.translate(_NO_BLANKS) or b"MAILER-DAEMON"
    return b"From %b %b\n" % (name, ctime_date(now))
