"""Asking who owns the other end of a connection: the Identification Protocol (RFC 1413), no I/O."""

from __future__ import annotations

PORT = 113

_FIELDS = 3  # colons before the user's name: ports, USERID, operating system
_MAX_USER = 257  # bytes; the original reads no more
MAX_REPLY = 1024  # bytes; RFC 1413 §4 allows 1000 characters


def encode_query(remote_port: int, local_port: int) -> bytes:
    """Return what the host at the other end is asked."""
    return b"%d , %d\r\n" % (remote_port, local_port)


def parse_reply(reply: bytes) -> bytes:
    """Return the user in a reply, without blanks; empty if it names none.

    The original looks at nothing but the colons: an ERROR reply has too few.
    """
    line = reply.partition(b"\n")[0].translate(None, b" \t\r")
    *fields, user = line.split(b":", _FIELDS)
    return user[:_MAX_USER] if len(fields) == _FIELDS else b""
