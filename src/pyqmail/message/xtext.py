"""xtext: printable ASCII in which `+` and two hexadecimal digits stand for any byte (RFC 3461 §4).

Parameters of MAIL and RCPT, which bounces repeat, and the attributes of XCLIENT are written so.
"""

from __future__ import annotations

import re
from typing import Final

_ESCAPE: Final = re.compile(rb"\+([0-9A-F]{2})")
_PLAIN: Final = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_NOT_PLAIN: Final = re.compile(rb"[^!-*,-<>-~]")


class XtextError(ValueError):
    """It is not xtext."""


def decode_xtext(text: bytes) -> bytes:
    """Return the bytes that `text` stands for. Raises XtextError."""
    if not _PLAIN.fullmatch(text):
        raise XtextError
    return _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode("ascii")), text)


def encode_xtext(data: bytes) -> bytes:
    """Return `data` as xtext."""
    return _NOT_PLAIN.sub(lambda byte: b"+%02X" % byte[0][0], data)
