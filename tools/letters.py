"""The letters, and how their log and their mailboxes must look.

Templates are text in which words in capitals stand for what differs from run
to run: the same word twice means the same text twice.
"""

from __future__ import annotations

import re

LOG_OF_A_DELIVERY = """\
new msg MSG
info msg MSG: bytes NUMBER from <aku@HOST> qp QP uid UID
starting delivery DELIVERY: msg MSG to local NAME@HOST
status: local 1/10 remote 0/20
delivery DELIVERY: success: did_1+0+0/
status: local 0/10 remote 0/20
end msg MSG
"""

STRANGER = "budi@far.example.net"  # who speaks SMTP to us

LOG_OF_A_LETTER_BY_SMTP = LOG_OF_A_DELIVERY.replace("<aku@HOST>", f"<{STRANGER}>")

LOG_OF_A_BOUNCE = """\
new msg MSG
info msg MSG: bytes NUMBER from <aku@HOST> qp QP uid UID
starting delivery DELIVERY: msg MSG to local sembarangan@HOST
status: local 1/10 remote 0/20
delivery DELIVERY: failure: Sorry,_no_mailbox_here_by_that_name._(#5.1.1)/
status: local 0/10 remote 0/20
bounce msg MSG qp BOUNCEQP
end msg MSG
new msg BOUNCE
info msg BOUNCE: bytes NUMBER from <> qp BOUNCEQP uid UID
starting delivery BOUNCEDELIVERY: msg BOUNCE to local aku@HOST
status: local 1/10 remote 0/20
delivery BOUNCEDELIVERY: success: did_1+0+0/
status: local 0/10 remote 0/20
end msg BOUNCE
"""

# Input that ends inside the header gets no empty line; qmail-inject(8).
LETTER = """\
Return-Path: <aku@HOST>
Delivered-To: NAME@HOST
Received: (qmail PID invoked by uid UID); DATE
Date: DATE
Message-ID: <STAMP.PID.qmail@HOST>
From: aku@HOST
to: NAME@HOST
"""

LETTER_BY_SMTP = f"""\
Return-Path: <{STRANGER}>
Delivered-To: aku@HOST
Received: (qmail QP invoked by uid UID); DATE
Received: from unknown (HELO dude) (127.0.0.1)
  by HOST with SMTP; DATE
Subject: testing

This is a test.
"""

# The parts of a bounce in their order; between them stand header fields that
# the form of the bounce decides.
BOUNCE = (
    "Return-Path: <>\nDelivered-To: aku@HOST\n",
    "From: MAILER-DAEMON@HOST\nTo: aku@HOST\nSubject: failure notice\n",
    "Hi. This is the qmail-send program at HOST.\n",
    "<sembarangan@HOST>:\nSorry, no mailbox here by that name. (#5.1.1)\n",
    "Return-Path: <aku@HOST>\n",
    "to: sembarangan@HOST\n",
)

MBOX_ENTRY = "From aku@HOST CTIME\n" + LETTER + "\n"

BLANKS = {
    "NUMBER": r"\d+",
    "MSG": r"\d+",
    "QP": r"\d+",
    "DELIVERY": r"\d+",
    "PID": r"\d+",
    "BOUNCE": r"\d+",
    "BOUNCEQP": r"\d+",
    "BOUNCEDELIVERY": r"\d+",
    "STAMP": r"\d{14}",
    "DATE": r"\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d -0000",
    "CTIME": r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}",
}
MAY_DIFFER = {"NUMBER", "PID", "DATE"}  # within one text


def pattern(template: str, **known: str) -> re.Pattern[str]:
    """Return what matches `template`, with the words of `known` filled in."""
    seen = set(MAY_DIFFER)

    def fill(word: re.Match[str]) -> str:
        name = word[0]
        if name in known:
            return re.escape(known[name])
        if name not in BLANKS:
            return name
        if name in MAY_DIFFER:
            return BLANKS[name]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{BLANKS[name]})"

    return re.compile(re.sub(r"\b[A-Z]+\b", fill, re.escape(template)))


def check_text(template: str, text: str, what: str, **known: str) -> None:
    """End with both texts shown, unless all of `text` is as `template` says."""
    if not pattern(template, **known).fullmatch(text):
        raise Surprise(f"{what} should read\n\n{template}\nbut reads\n\n{text}")


class Surprise(Exception):  # noqa: N818  what happened is not what was promised
    """A letter did not arrive as it should."""


def check_letter(text: str, **known: str) -> None:
    """Check the first letter, as it lies in the Maildir."""
    check_text(LETTER, text, "the letter", NAME="aku", **known)


def check_letter_by_smtp(text: str, **known: str) -> None:
    """Check the letter that came by SMTP, as it lies in the Maildir."""
    check_text(LETTER_BY_SMTP, text, "the letter that came by SMTP", **known)


def check_bounce(text: str, **known: str) -> None:
    """Check the bounce: each part is there, in this order."""
    position = 0
    for part in BOUNCE:
        found = pattern(part, **known).search(text, position)
        if not found:
            raise Surprise(f"the bounce should have\n\n{part}\nbut is\n\n{text}")
        position = found.end()


def long_body() -> bytes:
    """Return a body of 1 MB that an mbox must quote, and lines that it must leave alone."""
    lines = [
        b"From here on, the lines look like the first line of an mbox entry.",
        b">From there a quoted one came back.",
        b">>From farther still.",
        b" From behind a space nothing happens,",
        b"from in small letters neither,",
        b"From: with a colon neither, nor From",
        b"",
        b"\xe9t\xe9 and other bytes beyond ASCII pass, as does a lonely \r.",
    ]
    text = b"\n".join(lines) + b"\n"
    return text * (1_000_000 // len(text) + 1)


def check_mbox_entry(entry: bytes, body: bytes, **known: str) -> None:
    """Check the long letter, as it was appended to the mbox: byte for byte."""
    header, blank, rest = entry.partition(b"\n\n")
    text = (header + blank).decode("latin-1")
    check_text(MBOX_ENTRY, text, "the header of the mbox entry", NAME="kamu", **known)
    quoted = re.sub(rb"(?m)^(>*From )", rb">\1", body)
    if rest != quoted + b"\n":
        raise Surprise("the body in the mbox is not the one that was sent, quoted")
