"""except - reverse the exit code of a program. See except(1).

Runs as the user whose `.qmail` names it.
"""

# ruff: noqa: N999  the module has the name of the program

from __future__ import annotations

import os

from pyqmail.delivery.program import says_yes
from pyqmail.errors import PERMANENT, SUCCESS
from pyqmail.programs.run import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `except`."""
    run("except", fail_unless_refused)


def fail_unless_refused(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Fail for good if the program exits 0; succeed if it fails for good."""
    if not arguments:
        os.write(2, b"except: usage: except program [ arg ... ]\n")
        return PERMANENT
    return PERMANENT if says_yes(list(arguments), environ) else SUCCESS
