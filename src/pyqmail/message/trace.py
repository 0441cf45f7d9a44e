"""The lines that are put on top of a message on its way (RFC 5321 §4.4).

Each function returns one field with its final LF. What a peer or a user chose
cannot make it two: a line feed inside becomes `_`, `-` or `?`.
"""

from __future__ import annotations

from pyqmail.message.address import quote_address
from pyqmail.message.date import ctime_date, rfc822_date

MAX_HOPS = 100  # a message with so many trace fields is looping; qmail-smtpd(8)

_NO_BLANKS = bytes.maketrans(b" \t\n", b"---")
# What a client may call itself in a Received field; the rest becomes a question mark.
_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.@%+/=:-[]"
_ONLY_SAFE = bytes(byte if byte in _SAFE else ord("?") for byte in range(256))

_BEFORE_PID, _BEHIND_PID = b"Received: (qmail ", b" invoked "  # in qmail-queue's field

_RECEIVED = b"\nreceived"
_DELIVERED = b"\ndelivered"


def received_line(pid: int, how: bytes, now: int) -> bytes:
    """Return qmail-queue's field; `how` is `by uid 1000`, `from network`, `for bounce`, …."""
    return b"%b%d%b%b); %b\n" % (_BEFORE_PID, pid, _BEHIND_PID, how, rfc822_date(now))


def invoker_of(message: bytes) -> int | None:
    """Return the process number in qmail-queue's field that `message` begins with; else None."""
    digits, found, _ = message.removeprefix(_BEFORE_PID).partition(_BEHIND_PID)
    is_field = found and message.startswith(_BEFORE_PID) and digits.isdigit()
    return int(digits) if is_field else None


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


class Client:
    """The two ends of a connection, as a Received field names them.

    `info` is what the client's host says of its user (RFC 1413), or None.
    """

    __slots__ = ("host", "info", "ip", "local")

    def __init__(self, host: bytes, ip: bytes, info: bytes | None, local: bytes) -> None:
        self.host = host
        self.ip = ip
        self.info = info
        self.local = local

    def received_field(self, protocol: bytes, hello: bytes | None, now: int) -> bytes:
        """Return the field, two lines, for a message that came by `protocol`.

        `hello` is what the client calls itself, if that says more than `host`.
        """
        named = b"" if hello is None else b" (HELO %b)" % hello.translate(_ONLY_SAFE)
        user = b"" if self.info is None else self.info.translate(_ONLY_SAFE) + b"@"
        return b"Received: from %b%b (%b%b)\n  by %b with %b; %b\n" % (
            self.host.translate(_ONLY_SAFE),
            named,
            user,
            self.ip.translate(_ONLY_SAFE),
            self.local.translate(_ONLY_SAFE),
            protocol,
            rfc822_date(now),
        )


class HopCounter:
    """Counts the trace fields in a header that comes in pieces, lines ending with LF.

    Every field whose name begins with `Received` or `Delivered` counts, as in
    the original, without regard to case.
    """

    __slots__ = ("_in_header", "_line", "hops")

    def __init__(self) -> None:
        self.hops = 0
        self._in_header = True
        self._line = b"\n"  # the start of the line that is not complete, if it may count yet

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the message."""
        if not self._in_header or not data:
            return
        text = (self._line + data).lower()
        end = text.find(b"\n\n")
        if end >= 0:
            self._in_header = False
            text = text[:end]
        self.hops += text.count(_RECEIVED) + text.count(_DELIVERED)
        line = text[text.rfind(b"\n") :]
        # A name that is complete has been counted.
        undecided = any(name != line and name.startswith(line) for name in (_RECEIVED, _DELIVERED))
        self._line = line if undecided else b""
