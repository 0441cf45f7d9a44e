"""The programs that start once for each message or recipient, and how to run each of them."""

from __future__ import annotations

# Started for every message, every recipient, or every line of a .qmail file.
PER_MESSAGE = (
    "bouncesaying",
    "condredirect",
    "datemail",
    "except",
    "forward",
    "maildirmake",
    "mailsubj",
    "preline",
    "predate",
    "qbiff",
    "qmail-getpw",
    "qmail-inject",
    "qmail-local",
    "qmail-qmqpc",
    "qmail-queue",
    "qreceipt",
    "sendmail",
)

# Started for every connection where no application does their work, or by scripts.
PER_CONNECTION = (
    "addcr",
    "argv0",
    "delcr",
    "fixcrio",
    "recordio",
    "tcp-env",
    "tcprules",
    "tcprulescheck",
)

# What lets a program get as far as its work.
ENVIRONMENT = {
    "SENDER": "sue@example.org",
    "NEWSENDER": "sue@example.org",
    "RECIPIENT": "aku@example.org",
    "LOCAL": "aku",
    "USER": "aku",
    "HOST": "example.org",
    "DTLINE": "Delivered-To: aku@example.org\n",
    "RPLINE": "Return-Path: <sue@example.org>\n",
    "UFLINE": "From sue@example.org Sat Jan 03 04:05:06 2025\n",
}
ARGUMENTS = {
    "bouncesaying": ["no", "true"],
    "condredirect": ["ann@example.org", "true"],
    "datemail": ["aku@example.org"],
    "except": ["true"],
    "forward": ["ann@example.org"],
    "maildirmake": ["Maildir"],
    "mailsubj": ["subject", "aku@example.org"],
    "preline": ["cat"],
    "predate": ["cat"],
    "qmail-getpw": ["aku"],
    "qmail-local": ["aku", "/", "aku", "", "", "example.org", "sue@example.org", "./Mailbox"],
    "qreceipt": ["aku@example.org"],
    "sendmail": ["aku@example.org"],
    "tcprules": ["rules.cdb", "rules.tmp"],
    "tcprulescheck": ["rules.cdb"],
}
