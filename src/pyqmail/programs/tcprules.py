"""tcprules - compile rules for tcpserver. See tcprules(1).

Runs as whoever may replace the database; reads descriptor 0.
"""

from __future__ import annotations

import os

from pyqmail.control.cdb import encode_cdb
from pyqmail.errors import PERMANENT, SUCCESS, PermanentFailure, TransientFailure
from pyqmail.programs.run import run
from pyqmail.system import files
from pyqmail.system.errnos import error_text
from pyqmail.ucspi.rules import parse_rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_MODE = 0o644  # minus the umask
_PATHS = 2


def main() -> NoReturn:
    """Run as the command `tcprules`."""
    run("tcprules", compile_rules)


def compile_rules(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Replace a database by what the rules on descriptor 0 say; on failure it stays as it was."""
    if len(arguments) < _PATHS:
        os.write(2, b"tcprules: usage: tcprules rules.cdb rules.tmp\n")
        return PERMANENT
    target, temporary = (os.fsdecode(path) for path in arguments[:_PATHS])
    descriptor = _create(temporary)
    try:
        _write(descriptor, temporary, _read())
    except PermanentFailure:
        files.discard(temporary)
        raise
    finally:
        os.close(descriptor)
    _move(temporary, target)
    return SUCCESS


def _read() -> bytes:
    try:
        return files.read_rest(0)
    except OSError as error:
        raise TransientFailure(b"unable to read input: " + error_text(error)) from error


def _create(path: str) -> int:
    try:
        files.discard(path)
        return files.create_exclusively(path, _MODE)
    except OSError as error:
        text = b"unable to create " + os.fsencode(path) + b": " + error_text(error)
        raise TransientFailure(text) from error


def _write(descriptor: int, path: str, text: bytes) -> None:
    try:
        files.write(descriptor, encode_cdb(parse_rules(text)))
        files.sync(descriptor)
    except OSError as error:
        failure = b"unable to write " + os.fsencode(path) + b": " + error_text(error)
        raise TransientFailure(failure) from error


def _move(temporary: str, target: str) -> None:
    try:
        files.rename(temporary, target)
        files.sync_directory(os.path.dirname(target) or ".")
    except OSError as error:
        paths = os.fsencode(temporary) + b" to " + os.fsencode(target)
        raise TransientFailure(b"unable to move " + paths + b": " + error_text(error)) from error
