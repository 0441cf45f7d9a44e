"""What qmail-remote says: the texts are the original's, to the byte.

A report begins with a letter: `K`, `Z` or `D` about the message, `r`, `s` or
`h` about a recipient. qmail-rspawn(8) says what becomes of them.
"""

from __future__ import annotations

from typing import Final

OUT_OF_RESOURCES: Final = b"ZSystem resources temporarily unavailable. (#4.3.0)\n"
NO_CONNECTION: Final = b"ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"
UNREADABLE_MESSAGE: Final = b"ZUnable to read message. (#4.3.0)\n"
NO_ANSWER_FROM_DNS: Final = b"ZSorry, I couldn't find any host by that name. (#4.1.2)\n"
NO_HOME: Final = b"ZUnable to switch to home directory. (#4.3.0)\n"
UNREADABLE_CONTROL: Final = b"ZUnable to read control files. (#4.3.0)\n"
PARTIAL_LINE: Final = b"DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n"
USAGE: Final = b"DI (qmail-remote) was invoked improperly. (#5.3.5)\n"
NO_EXCHANGER: Final = b"DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n"
OURSELVES: Final = (
    b"DSorry. Although I'm listed as a best-preference MX or A for that host,\n"
    b"it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n"
)
# The original puts the line break on the wire.
LINE_BREAK_IN_SENDER: Final = b"DThis sender's address has a line break; SMTP has none. (#5.1.7)\n"
LINE_BREAK_IN_RECIPIENT: Final = b"hThis address has a line break; SMTP has none. (#5.1.3)\n"
# Behind "Connected to" and the address.
NO_TLS_OFFERED: Final = b"but it offers no TLS, which control/tlspolicy demands (#4.7.4)"
NO_MECHANISM: Final = b"but it offers no way to log in that I know (#4.7.4)"
NO_RECIPIENT_LEFT: Final = b"DGiving up: no address can be sent.\n"

_SHOWN: Final = range(33, 127)


class Undeliverable(Exception):  # noqa: N818  the report says whether it is an error
    """No delivery is possible, now or ever; `report` says which and why."""

    def __init__(self, report: bytes) -> None:
        super().__init__(report)
        self.report = report


def no_such_host(host: bytes) -> bytes:
    """Return the report on a name that the DNS does not know."""
    name = bytes(byte if byte in _SHOWN else ord("?") for byte in host)
    return b"DSorry, I couldn't find any host named %b. (#5.1.2)\n" % name


def tls_failed(partner: bytes, reason: bytes) -> bytes:
    """Return the report on a host with which there is no TLS, though there must be."""
    return b"ZConnected to %b but TLS failed: %b. (#4.7.5)\n" % (partner, reason)


def too_large(partner: bytes, size: int, limit: int) -> bytes:
    """Return the report on a message that is larger than the host says it takes."""
    words = b"DConnected to %b but it takes %d bytes at most, and this message has %d. (#5.3.4)\n"
    return words % (partner, limit, size)


_NO_SMTPUTF8: Final = b"does not take internationalized mail (SMTPUTF8), "


def international_sender(partner: bytes) -> bytes:
    """Return the report for a host that cannot be told who sends."""
    why = b"and the sender's address is such. (#5.6.7)\n"
    return b"DConnected to " + partner + b" but it " + _NO_SMTPUTF8 + why


def international_message(partner: bytes) -> bytes:
    """Return the report for a host that cannot be given the header section."""
    why = b"and the header of this message is such. (#5.6.7)\n"
    return b"DConnected to " + partner + b" but it " + _NO_SMTPUTF8 + why


def international_recipient(partner: bytes) -> bytes:
    """Return the report on a recipient that the host cannot be told."""
    return b"h" + partner + b" " + _NO_SMTPUTF8 + b"and this address is such. (#5.6.7)\n"


def connection_died(partner: bytes, *, after_the_end: bool) -> bytes:
    """Return the report on a lost connection; after the end of data nobody knows what happened."""
    duplicate = b"Possible duplicate! " if after_the_end else b""
    return b"ZConnected to %b but connection died. %b(#4.4.2)\n" % (partner, duplicate)


def quoted(text: bytes) -> bytes:
    """Return what the remote host said, as a report quotes it."""
    return b"Remote host said: " + text.replace(b"\0", b"?") if text else b""
