"""What a look at a home finds: each thing with its level, its place, and what mends it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyqmail.errors import Failure
from pyqmail.system.errnos import error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyqmail.control.files import ControlError

ERROR: Final = "error"  # stops mail, or breaks a promise
WARNING: Final = "warning"  # looks odd
NOTE: Final = "note"  # is so; nothing is wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: how bad, where, what and what to do; `repair` does it, where that is safe."""

    level: str
    place: str
    text: str
    repair: Callable[[], None] | None = field(default=None, compare=False, repr=False)


def mend(findings: Iterable[Finding]) -> list[str]:
    """Do what can be done about the findings; return a line for each thing done or not done."""
    lines = []
    for finding in findings:
        if finding.repair is None:
            continue
        try:
            finding.repair()
        except Failure as failure:
            lines.append(f"{finding.place}: not mended: {failure}")
        except OSError as error:
            lines.append(f"{finding.place}: not mended: {os.fsdecode(error_text(error))}")
        else:
            lines.append(f"{finding.place}: mended: it {finding.text}")
    return lines


def finding_of(error: ControlError) -> Finding:
    """Return what is wrong with a control file."""
    place, _, wrong = str(error).partition(": ")
    return Finding(ERROR, place, wrong)
