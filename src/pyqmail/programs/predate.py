"""predate - give a message a Date field in local time, then start a program on it.

See predate(1). Runs as the user who sends the message.
"""

from __future__ import annotations

import os
import time

from pyqmail.errors import PERMANENT, TransientFailure
from pyqmail.message.date import local_date
from pyqmail.programs.run import run
from pyqmail.system import files
from pyqmail.system.errnos import error_text
from pyqmail.system.processes import crashed, exit_code, kill, start_by_name, wait_for
from pyqmail.system.standard_input import open_input, pieces_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `predate`."""
    run("predate", predate)


def predate(command: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Start `command` with the message on its standard input, and end as it ends."""
    if not command:
        os.write(2, b"predate: usage: predate child\n")
        return PERMANENT
    return feed(date_field(), command, environ)


def date_field() -> bytes:
    """Return a Date field for now, in the local time zone."""
    now = int(time.time())
    return b"Date: %b\n" % local_date(now, time.localtime(now).tm_gmtoff)


def feed(first: bytes, command: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Run `command` with `first` put before our standard input; return its exit code."""
    message = open_input(first)
    reading, writing = os.pipe()
    try:
        child = start_by_name(list(command), environ, reading)
    except OSError as error:
        text = b"unable to run " + command[0] + b": " + error_text(error)
        raise TransientFailure(text) from error
    os.close(reading)
    _copy(message, writing, child)
    os.close(writing)
    status = wait_for(child)
    if crashed(status):
        raise TransientFailure(b"child crashed")
    return exit_code(status)


def _copy(message: io.BufferedReader, writing: int, child: int) -> None:
    """Write `message` until `child` wants no more."""
    try:
        for piece in pieces_of(message):
            files.write(writing, piece)
    except BrokenPipeError:
        return  # the child has ended, or will end, as it sees fit
    except OSError as error:
        # Half a message must not look like a whole one.
        kill(child)
        raise TransientFailure(b"unable to copy input: " + error_text(error)) from error
