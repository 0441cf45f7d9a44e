"""What maildirwatch shows of new messages: who wrote, and how they begin."""

from __future__ import annotations

import io
import os

from pyqmail.message.header import contents, field_name, read_header
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from pyqmail.mailbox.listing import Entry

TEXT_SIZE: Final = 158  # bytes: two lines of a terminal
HEAD_SIZE: Final = 65536  # bytes of a message that are looked at

_PRINTABLE: Final = range(32, 127)
_MASKED_ADDRESS: Final = bytes(b if b in _PRINTABLE else ord("?") for b in range(256))
_MASKED_TEXT: Final = bytes(b if b in _PRINTABLE else ord("/") for b in range(256))
_BOLD: Final = b"\33[1m%b\33[0m"


def show_new_mail(entries: Iterable[Entry]) -> bytes:
    """Return the text for messages of the current directory; nothing in it controls a terminal."""
    return b"".join(_show(entry.name) for entry in entries)


def _show(path: str) -> bytes:
    try:
        descriptor = files.open_to_read(path)
    except OSError:
        return b""  # a reader was faster
    try:
        return summary_of(os.read(descriptor, HEAD_SIZE))
    finally:
        os.close(descriptor)


def summary_of(head: bytes) -> bytes:
    """Return the lines that show the message which begins with `head`."""
    stream = io.BytesIO(head)
    header = read_header(stream)
    values: dict[bytes, list[bytes]] = {}
    for field in header.fields:
        values.setdefault(field_name(field), []).append(contents(field))
    sender = _in_brackets(values.get(b"return-path", [b""])[0])
    recipient = values.get(b"delivered-to", [b""])[0].rstrip(b"\n")
    first = b"FROM %b TO <%b>" % (sender, recipient)
    text = b"".join(values.get(b"subject", [])) + header.body_start + stream.read(TEXT_SIZE)
    lines = (
        _BOLD % first.translate(_MASKED_ADDRESS),
        text[:TEXT_SIZE].translate(_MASKED_TEXT),
        b"",
        b"",
    )
    return b"\n".join(lines)


def _in_brackets(value: bytes) -> bytes:
    """Return what stands in the angle brackets of a Return-Path field."""
    inner = value.partition(b"<")[2].rpartition(b">")[0]
    return inner or b"MAILER-DAEMON"
