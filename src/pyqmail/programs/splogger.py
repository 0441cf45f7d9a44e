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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NoReturn

MAX_LINE: Final = 799  # bytes of one entry
MAIL: Final = 2  # the facility's number
_SPACE: Final = 32
_DELETE: Final = 127
_PRINTABLE: Final = bytes(byte if _SPACE <= byte < _DELETE else ord("?") for byte in range(256))


def main() -> NoReturn:
    """Run as the command `splogger`."""
    run("splogger", log)


def log(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Give each line of descriptor 0 to syslog until the input ends."""
    tag = os.fsdecode(arguments[0]) if arguments else "splogger"
    digits = arguments[1] if len(arguments) > 1 else b""
    facility = int(digits) if digits.isdigit() else MAIL
    syslog.openlog(tag, 0, facility << 3)
    for line in lines_of(0):
        for text in entries(line, time.time()):
            syslog.syslog(priority_of(line), text.decode("ascii"))
    return SUCCESS


def lines_of(descriptor: int) -> Iterator[bytes]:
    """Yield the lines that are not empty, each a bounded piece; an unfinished last one is lost."""
    rest = b""
    while data := os.read(descriptor, READ_SIZE):
        *lines, rest = (rest + data).split(b"\n")
        yield from filter(None, lines)


def entries(line: bytes, now: float) -> Iterator[bytes]:
    """Yield the entries for one line: a long one is split, and `+` says that it goes on."""
    stamp = b"%d.%06d" % (int(now), int(now % 1 * 1000000))
    text = line.translate(_PRINTABLE)
    for start in range(0, len(text), MAX_LINE):
        yield stamp + (b"+" if start else b" ") + text[start : start + MAX_LINE]


def priority_of(line: bytes) -> int:
    """Return the priority that the first word of a line asks for."""
    if line.startswith(b"alert:"):
        return syslog.LOG_ALERT
    return syslog.LOG_WARNING if line.startswith(b"warning:") else syslog.LOG_INFO
