"""splogger - make entries in syslog. See splogger(8).

Runs as qmaill; reads descriptor 0 and speaks to the system's log.
"""

from __future__ import annotations

import os
import syslog
import time
from typing import TYPE_CHECKING, Final

from pyqmail.errors import SUCCESS
from pyqmail.programs.run import run
from pyqmail.system.files import READ_SIZE
from pyqmail.system.processes import set_title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NoReturn

MAX_LINE: Final = 799  # bytes of one entry
MAIL: Final = 2  # the facility's number
MAX_FACILITY: Final = 23  # RFC 5424 §6.2.1
MAX_DIGITS: Final = 9  # of a facility; zeros may lead
_SPACE: Final = 32
_DELETE: Final = 127
_PRINTABLE: Final = bytes(byte if _SPACE <= byte < _DELETE else ord("?") for byte in range(256))


def main() -> NoReturn:
    """Run as the command `splogger`."""
    run("splogger", log)


def log(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Give each line of descriptor 0 to syslog until the input ends."""
    tag = os.fsdecode(arguments[0]) if arguments else "splogger"
    set_title(" ".join(map(os.fsdecode, [b"splogger", *arguments])))
    facility = facility_of(arguments[1]) if len(arguments) > 1 else MAIL
    syslog.openlog(tag, 0, facility << 3)
    stamp, priority = b"", syslog.LOG_INFO
    for piece, goes_on in pieces_of(0):
        if not goes_on:
            stamp = b"%d.%06d" % divmod(time.time_ns() // 1000, 1000000)
            priority = priority_of(piece)
        text = stamp + (b"+" if goes_on else b" ") + piece.translate(_PRINTABLE)
        syslog.syslog(priority, text.decode("ascii"))
    return SUCCESS


def facility_of(argument: bytes) -> int:
    """Return the number of a facility; what is none of syslog's counts as that for mail."""
    if argument.isdigit() and len(argument) <= MAX_DIGITS and int(argument) <= MAX_FACILITY:
        return int(argument)
    return MAIL


def pieces_of(descriptor: int) -> Iterator[tuple[bytes, bool]]:
    """Yield what becomes an entry each: whole lines, or pieces of MAX_LINE bytes of longer ones.

    True marks a piece that continues a line. Empty lines make no entries, and
    the rest of a line that never ends is lost.
    """
    rest = b""
    goes_on = False
    while data := os.read(descriptor, READ_SIZE):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            for start in range(0, len(line), MAX_LINE):
                yield line[start : start + MAX_LINE], goes_on or start > 0
            goes_on = False
        while len(rest) > MAX_LINE:
            yield rest[:MAX_LINE], goes_on
            rest = rest[MAX_LINE:]
            goes_on = True


def priority_of(line: bytes) -> int:
    """Return the priority that the first word of a line asks for."""
    if line.startswith(b"alert:"):
        return syslog.LOG_ALERT
    return syslog.LOG_WARNING if line.startswith(b"warning:") else syslog.LOG_INFO
