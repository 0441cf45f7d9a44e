"""argv0 - run a program under another name. See argv0(1)."""

from __future__ import annotations

import os

from pyqmail.errors import PERMANENT
from pyqmail.programs.execution import become
from pyqmail.programs.run import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_NEEDED = 2


def main() -> NoReturn:
    """Run as the command `argv0`."""
    run("argv0", run_under_name)


def run_under_name(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Become the first argument, which sees the others as its arguments 0, 1 and so on."""
    if len(arguments) >= _NEEDED:
        become(arguments[1:], environ, arguments[0])
    os.write(2, b"argv0: usage: argv0 realname program [ arg ... ]\n")
    return PERMANENT
