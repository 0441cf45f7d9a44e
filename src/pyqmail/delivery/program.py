"""Run the programs that deliveries ask or hand a message to; qmail-command(8).

`run_command()` is the line of a `.qmail` file; the others are what the small
programs that stand in such lines do with a program of their own.
"""

from __future__ import annotations

import os

from pyqmail.errors import (
    PERMANENT,
    SUCCESS,
    SUCCESS_AND_STOP,
    TRANSIENT,
    PermanentFailure,
    TransientFailure,
)
from pyqmail.system import files, processes
from pyqmail.system.errnos import error_text, is_temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

CRASHED: Final = b"Aack, child crashed. (#4.3.0)"

_SHELL: Final = b"/bin/sh"
# Exit codes that mean a permanent failure, besides 100: those of sysexits.h that
# programs written for sendmail use so, and 112, which older programs used.
_PERMANENT_CODES: Final = frozenset((PERMANENT, 64, 65, 70, 76, 77, 78, 112))


def run_command(command: bytes, message: int, environ: Mapping[bytes, bytes]) -> bool:
    """Have the shell run `command`, with the message as its input; return whether to stop here.

    What it writes goes where our own output goes: it is the report. A
    failure has no text of its own, except where the program could not say one.
    """
    try:
        pid = processes.start(_SHELL, [_SHELL, b"-c", command], environ, message)
    except OSError as error:
        text = b"Unable to run /bin/sh: %b. (#4.3.0)" % error_text(error)
        raise TransientFailure(text) from error
    status = processes.wait_for(pid)
    if processes.crashed(status):
        raise TransientFailure(CRASHED)
    code = processes.exit_code(status)
    if code in _PERMANENT_CODES:
        raise PermanentFailure(b"")
    if code not in (SUCCESS, SUCCESS_AND_STOP):
        raise TransientFailure(b"")
    return code == SUCCESS_AND_STOP


def says_yes(arguments: list[bytes], environ: Mapping[bytes, bytes]) -> bool:
    """Run a program on descriptor 0; return whether it exits 0.

    Exit code 111 and a crash are transient failures; a program that is not
    there says no.
    """
    try:
        status = processes.run_with_input(arguments, 0, environ)
    except OSError as error:
        code = TRANSIENT if is_temporary(error.errno or 0) else PERMANENT
    else:
        code = _code_of(status)
    if code == TRANSIENT:
        raise TransientFailure(b"temporary child error")
    return code == SUCCESS


def run_with_head(arguments: list[bytes], head: bytes, environ: Mapping[bytes, bytes]) -> int:
    """Run a program on `head` and the rest of descriptor 0; return its exit code.

    A program that ends before it has read everything is a transient failure,
    whatever its exit code: nobody knows what it did with half a message.
    """
    pid, descriptor = _start_with_pipe(arguments, environ)
    try:
        files.write(descriptor, head)
        while piece := os.read(0, files.READ_SIZE):
            files.write(descriptor, piece)
    except OSError as error:
        raise TransientFailure(b"unable to copy input: " + error_text(error)) from error
    finally:
        os.close(descriptor)
    return _code_of(processes.wait_for(pid))


def _start_with_pipe(arguments: list[bytes], environ: Mapping[bytes, bytes]) -> tuple[int, int]:
    """Start a program; return its pid and the descriptor of a pipe to its descriptor 0."""
    reading, writing = os.pipe()
    try:
        return processes.start_by_name(arguments, environ, reading), writing
    except OSError as error:
        os.close(writing)
        text = b"unable to run %b: %b" % (arguments[0], error_text(error))
        if is_temporary(error.errno or 0):
            raise TransientFailure(text) from error
        raise PermanentFailure(text) from error
    finally:
        os.close(reading)


def _code_of(status: int) -> int:
    if processes.crashed(status):
        raise TransientFailure(b"child crashed")
    return processes.exit_code(status)
