"""qmail-pop3d - distribute mail via POP. See qmail-pop3d(8).

Runs as the user, started by checkpassword, one session on descriptors 0 and 1. It reads
the Maildir it is given, and changes it at QUIT.
"""

from __future__ import annotations

import os

from pyqmail.errors import SUCCESS
from pyqmail.programs.run import run
from pyqmail.retrieval.pop3 import TIMEOUT, hold_session
from pyqmail.system.descriptor_stream import WaitingStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_AS_ROOT = 1  # exit code: nobody's mail is read as root


def main() -> NoReturn:
    """Run as the command `qmail-pop3d`."""
    run("qmail-pop3d", distribute)


def distribute(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Hold a session over the Maildir that the argument names; return the exit code."""
    if os.getuid() == 0:
        os.write(2, b"qmail-pop3d invoked as uid 0, terminating\n")
        return _AS_ROOT
    hold_session(WaitingStream(TIMEOUT), os.fsdecode(arguments[0]) if arguments else None)
    return SUCCESS
