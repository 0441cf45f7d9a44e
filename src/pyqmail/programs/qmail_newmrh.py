"""qmail-newmrh - prepare morercpthosts for qmail-smtpd. See qmail-newmrh(8).

Runs as root in a system home, as the owner in a private one; reads
control/morercpthosts and replaces control/morercpthosts.cdb.
"""

from __future__ import annotations

import os

from pyqmail.control.cdb import encode_cdb
from pyqmail.control.roles import leave_root
from pyqmail.errors import TransientFailure
from pyqmail.programs.run import home_of, run
from pyqmail.system import errnos, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_MODE = 0o644
_SOURCE = "control/morercpthosts"
_TEMPORARY = "control/morercpthosts.tmp"
_TARGET = "control/morercpthosts.cdb"


def main() -> NoReturn:
    """Run as the command `qmail-newmrh`."""
    run("qmail-newmrh", compile_hosts)


def compile_hosts(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Replace control/morercpthosts.cdb by what control/morercpthosts says."""
    home = home_of(environ)
    if os.path.isdir(home):
        leave_root(home)
    try:
        os.chdir(home)
    except OSError as error:
        raise _failure(b"unable to chdir to " + os.fsencode(home) + b": ", error) from error
    try:
        text = files.read_all(_SOURCE)
    except OSError as error:
        raise _failure(b"unable to read control/morercpthosts: ", error) from error
    data = encode_cdb((host, b"") for host in parse_hosts(text))
    try:
        files.discard(_TEMPORARY)
        files.write_new_file(_TEMPORARY, data, _MODE)
        os.chmod(_TEMPORARY, _MODE)
    except OSError as error:
        raise _failure(b"unable to write to control/morercpthosts.tmp: ", error) from error
    try:
        files.rename(_TEMPORARY, _TARGET)
        files.sync_directory("control")
    except OSError as error:
        # No colon before the reason: the original's text, down to that.
        moved = b"unable to move control/morercpthosts.tmp to control/morercpthosts.cdb"
        raise _failure(moved, error) from error
    return 0


def parse_hosts(text: bytes) -> list[bytes]:
    """Return the keys for the text of morercpthosts: its lines in lower case.

    Only spaces and tabs at the end are dropped; a NUL stays in its line as in the
    original, and so does a CR, of which `qmailctl check` warns.
    """
    lines = [line.rstrip(b" \t\n") for line in text.lower().split(b"\n")]
    return [line for line in lines if line and not line.startswith(b"#")]


def _failure(text: bytes, error: OSError) -> TransientFailure:
    return TransientFailure(text + errnos.error_text(error))
