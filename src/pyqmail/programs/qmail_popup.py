"""qmail-popup - read a POP username and password. See qmail-popup(8).

Runs as root under tcpserver or inetd, one session on descriptors 0 and 1. It opens no
file; the program it starts decides who the client is and becomes that user.
"""

from __future__ import annotations

from pyqmail.programs.run import run
from pyqmail.protocol.pop3 import error
from pyqmail.retrieval.login import EXIT_CODE, TIMEOUT, hold_login
from pyqmail.system.descriptor_stream import WaitingStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_USAGE = error(b"usage: popup hostname subprogram")


def main() -> NoReturn:
    """Run as the command `qmail-popup`."""
    run("qmail-popup", ask_who)


def ask_who(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Ask a client for name and password on descriptors 0 and 1; return the exit code."""
    stream = WaitingStream(TIMEOUT)
    host, *program = arguments or (b"",)
    if not program:
        stream.write(_USAGE)
        return EXIT_CODE
    return hold_login(stream, host, program, environ)
