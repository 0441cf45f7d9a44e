"""qmail-newu - prepare address assignments for qmail-lspawn. See qmail-newu(8).

Runs as root in a system home, as the owner in a private one; reads
users/assign and replaces users/cdb.
"""

from __future__ import annotations

import os

from pyqmail.control.assign import parse_assign
from pyqmail.control.cdb import encode_cdb
from pyqmail.control.files import ControlError
from pyqmail.control.roles import leave_root
from pyqmail.errors import TransientFailure
from pyqmail.programs.run import home_of, run
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_MODE = 0o644


def main() -> NoReturn:
    """Run as the command `qmail-newu`."""
    run("qmail-newu", compile_assignments)


def compile_assignments(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Replace users/cdb by what users/assign says; on failure it stays as it was."""
    home = home_of(environ)
    if not os.path.isdir(home):
        raise TransientFailure(b"unable to chdir")
    leave_root(home)
    users = os.path.join(home, "users")
    text = _read_assign(os.path.join(users, "assign"))
    try:
        records = parse_assign(text)
    except ControlError as error:
        raise TransientFailure(b"bad format in users/assign") from error
    _replace(os.path.join(users, "cdb"), records)
    return 0


def _read_assign(path: str) -> bytes:
    try:
        descriptor = files.open_to_read(path)
    except OSError as error:
        raise TransientFailure(b"unable to open users/assign") from error
    try:
        return files.read_rest(descriptor)
    except OSError as error:
        raise TransientFailure(b"unable to read users/assign") from error
    finally:
        os.close(descriptor)


def _replace(path: str, records: list[tuple[bytes, bytes]]) -> None:
    temporary = path + ".tmp"
    try:
        files.discard(temporary)
        descriptor = files.create_exclusively(temporary, _MODE)
    except OSError as error:
        raise TransientFailure(b"unable to open users/cdb.tmp") from error
    try:
        os.fchmod(descriptor, _MODE)
        files.write(descriptor, encode_cdb(records))
        files.sync(descriptor)
    except OSError as error:
        raise TransientFailure(b"unable to write users/cdb.tmp") from error
    finally:
        os.close(descriptor)
    try:
        files.rename(temporary, path)
        files.sync_directory(os.path.dirname(path))
    except OSError as error:
        raise TransientFailure(b"unable to move users/cdb.tmp to users/cdb") from error
