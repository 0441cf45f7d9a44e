"""bouncesaying - perhaps bounce each incoming message. See bouncesaying(1).

Runs as the user whose `.qmail` names it.
"""

from __future__ import annotations

import os

from pyqmail.delivery.program import says_yes
from pyqmail.errors import PERMANENT, SUCCESS
from pyqmail.programs.run import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_USAGE = b"bouncesaying: usage: bouncesaying error [ program [ arg ... ] ]\n"


def main() -> NoReturn:
    """Run as the command `bouncesaying`."""
    run("bouncesaying", bouncesaying)


def bouncesaying(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Fail for good with the text that is given, unless a program is given and refuses."""
    if not arguments:
        os.write(2, _USAGE)
        return PERMANENT
    text, *program = arguments
    if program and not says_yes(program, environ):
        return SUCCESS
    os.write(2, text + b"\n")
    return PERMANENT
