"""qmail-pop3d - distribute mail via POP. See qmail-pop3d(8).

Runs as the user, in a process of its own, one session: on descriptors 0 and 1 if
checkpassword started it, else on the connection that the porter of qmail-popup
gives it. It reads the Maildir it is given, and changes it at QUIT.
"""

from __future__ import annotations

import os

from pyqmail.errors import SUCCESS
from pyqmail.programs.run import run
from pyqmail.retrieval.pop3 import TIMEOUT, hold_session
from pyqmail.system.descriptor_stream import WaitingSocket, WaitingStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

    from pyqmail.system.descriptor_stream import PatientStream

_AS_ROOT = 1  # exit code: nobody's mail is read as root


def main() -> NoReturn:
    """Run as the command `qmail-pop3d`."""
    run("qmail-pop3d", distribute)


def distribute(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Hold a session over the Maildir that the argument names; return the exit code."""
    return _hold(arguments, environ, WaitingStream(TIMEOUT))


def session(arguments: Sequence[bytes]) -> Callable[[Mapping[bytes, bytes], int], int]:
    """Return the same as a function over variables and the descriptor of a connection."""
    return lambda environ, descriptor: _hold(arguments, environ, WaitingSocket(TIMEOUT, descriptor))


def _hold(arguments: Sequence[bytes], environ: Mapping[bytes, bytes], stream: PatientStream) -> int:
    if os.getuid() == 0:
        os.write(2, b"qmail-pop3d invoked as uid 0, terminating\n")
        return _AS_ROOT
    maildir = os.fsdecode(arguments[0]) if arguments else None
    extended = environ.get(b"POP3EXTENSIONS", b"0") != b"0"
    hold_session(stream, maildir, extended=extended)
    return SUCCESS
