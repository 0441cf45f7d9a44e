"""Which form bounces have; qmail-bounce(5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.control.files import ControlError, read_line

if TYPE_CHECKING:
    from typing import Final

MULTIPART: Final = b"multipart"
QSBMF: Final = b"qsbmf"
FORMATS: Final = (MULTIPART, QSBMF)

_NAME: Final = "bounceformat"


def read_bounce_format(home: str) -> bytes:
    """Return one of `FORMATS`; a word that is none of them is an error."""
    line = read_line(home, _NAME)
    if line is None:
        return MULTIPART
    if line not in FORMATS:
        raise ControlError("control/" + _NAME, 1, b"neither multipart nor qsbmf: " + line[:40])
    return line
