"""What `qmailctl check` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ERROR: Final = "error"
WARNING: Final = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: how bad, where, what, and what to do."""

    level: str
    place: str
    text: str


def finding_of(error: Exception) -> Finding:
    """Return what a ControlError says."""
    place, _, wrong = str(error).partition(": ")
    return Finding(ERROR, place, wrong)
