"""preline - put lines in front of a message and hand it to a program. See preline(1).

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

# In the order in which they stand before the message.
_LINES = {b"f": b"UFLINE", b"r": b"RPLINE", b"d": b"DTLINE"}


def main() -> NoReturn:
    """Run as the command `preline`."""
    run("preline", preline)


def preline(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Run a program on the lines and the message on descriptor 0; return its exit code."""
    # All three must be set, wanted or not: without them this is no delivery.
    if not all(name in environ for name in _LINES.values()):
        return _usage()
    wanted = dict.fromkeys(_LINES, True)
    options = Options("preline", arguments, b"frdFRD")
    for letter, _ in options:
        if letter == UNKNOWN:
            return _usage()
        wanted[letter.lower()] = letter.isupper()
    if not options.rest:
        return _usage()
    head = b"".join(environ[name] for letter, name in _LINES.items() if wanted[letter])
    return run_with_head(options.rest, head, environ)


def _usage() -> int:
    os.write(2, b"preline: usage: preline cmd [ arg ... ]\n")
    return PERMANENT
