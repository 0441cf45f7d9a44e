"""What qmail-lspawn tells qmail-send about a delivery; qmail-lspawn(8).

A delivery, whether a process of its own or not, ends with a wait status and
with text that it wrote. Exit codes from 112 on are said by what runs before
qmail-local.
"""

from __future__ import annotations

from pyqmail.errors import SUCCESS, TRANSIENT
from pyqmail.protocol.spawn import DEFERRED, DELIVERED, FAILED
from pyqmail.system.processes import crashed, exit_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

INTERNAL_BUG: Final = 112
DELIVERY_AS_ROOT: Final = 113
TEMPORARY_TROUBLE: Final = 118
CANNOT_RUN_YET: Final = 120
CANNOT_RUN_GETPW: Final = 121
CANNOT_RUN: Final = 126

KILLED: Final = 9  # a wait status: killed by that signal

CRASHED: Final = b"Zqmail-local crashed.\n"
_FIXED_REPORTS: Final = {
    INTERNAL_BUG: b"ZInternal qmail-lspawn bug.\n",
    DELIVERY_AS_ROOT: b"ZNot allowed to perform deliveries as root.\n",
    115: b"ZNFS failure in qmail-local.\n",
    116: b"ZUnable to find alias user!\n",
    117: b"ZTrouble reading users/cdb in qmail-lspawn.\n",
    TEMPORARY_TROUBLE: b"ZTemporary failure in qmail-lspawn.\n",
    119: b"ZOut of memory in qmail-lspawn.\n",
    CANNOT_RUN_YET: b"ZUnable to run qmail-local.\n",
    CANNOT_RUN_GETPW: b"ZUnable to run qmail-getpw.\n",
    CANNOT_RUN: b"DUnable to run qmail-local.\n",
}
# 71, 74 and 75 are those codes of sysexits.h that mean: try again.
_TRANSIENT_CODES: Final = frozenset((TRANSIENT, 71, 74, 75))

MAX_OUTPUT: Final = 3000  # bytes of text; the original's truncreport
_CUT: Final = b"\nError report too long, sorry.\n"
_KEPT: Final = MAX_OUTPUT - 3 - len(_CUT)
_PIECE: Final = 128  # bytes; the original looks at the length after each read of so many


def status_of(code: int) -> int:
    """Return the wait status of a process that ends with exit code `code`."""
    return code << 8


def report_of(status: int, output: bytes) -> bytes:
    """Return letter and text for a delivery that ended so."""
    if crashed(status):
        return CRASHED
    code = exit_code(status)
    if code in _FIXED_REPORTS:
        return _FIXED_REPORTS[code]
    return _letter(code) + output.partition(b"\0")[0]


def _letter(code: int) -> bytes:
    if code == SUCCESS:
        return DELIVERED
    return DEFERRED if code in _TRANSIENT_CODES else FAILED


class Output:
    """Keeps what a delivery writes, up to a limit: programs may write without end."""

    def __init__(self) -> None:
        self.text = b""

    def add(self, data: bytes) -> None:
        """Add what was written next."""
        for start in range(0, len(data), _PIECE):
            self.text += data[start : start + _PIECE]
            if len(self.text) > MAX_OUTPUT:
                self.text = self.text[:_KEPT] + _CUT
