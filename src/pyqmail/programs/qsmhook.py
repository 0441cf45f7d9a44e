"""qsmhook - run a delivery program that was written for sendmail. See qsmhook(1).

Runs as the user whose `.qmail` names it.
"""

from __future__ import annotations

import os

from pyqmail.delivery.program import run_with_head
from pyqmail.errors import PERMANENT
from pyqmail.programs.options import UNKNOWN, Options
from pyqmail.programs.run import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_VARIABLES = (b"DTLINE", b"RPLINE", b"UFLINE", b"LOCAL", b"HOST", b"SENDER")


def main() -> NoReturn:
    """Run as the command `qsmhook`."""
    run("qsmhook", qsmhook)


def qsmhook(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Run a program on the message with sendmail's macros in its arguments."""
    if not all(name in environ for name in _VARIABLES):
        return _usage()
    from_line, return_path, delivered_to = True, False, False
    local = environ[b"LOCAL"]
    options = Options("qsmhook", arguments, b"DFlMmnPsx:")
    for letter, value in options:
        if letter == UNKNOWN:
            return _usage()
        from_line = from_line and letter != b"n"
        return_path = return_path or letter == b"P"
        delivered_to = delivered_to or letter == b"l"
        if letter == b"x" and local.lower().startswith(value.lower()):
            local = local[len(value) :]
    if not options.rest:
        return _usage()
    wanted = ((from_line, b"UFLINE"), (return_path, b"RPLINE"), (delivered_to, b"DTLINE"))
    head = b"".join(environ[name] for is_wanted, name in wanted if is_wanted)
    macros = {b"%": b"%", b"g": environ[b"SENDER"], b"h": environ[b"HOST"], b"u": local}
    return run_with_head([expand(word, macros) for word in options.rest], head, environ)


def expand(word: bytes, macros: Mapping[bytes, bytes]) -> bytes:
    """Return `word` with each `%` and the byte after it replaced by a macro, or by nothing."""
    first, *others = word.split(b"%")
    pieces = [first]
    while others:
        piece = others.pop(0)
        if piece or not others:
            pieces += [macros.get(piece[:1], b""), piece[1:]]
        else:  # two signs: the byte after the first is the second
            pieces += [macros.get(b"%", b""), others.pop(0)]
    return b"".join(pieces)


def _usage() -> int:
    os.write(2, b"qsmhook: usage: qsmhook [ -DFlMmnPs ] [ -x prefix ] cmd [ arg ... ]\n")
    return PERMANENT
