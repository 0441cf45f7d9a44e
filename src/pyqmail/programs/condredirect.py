"""condredirect - redirect mail to another address if a program says so. See condredirect(1).

Runs as the user whose `.qmail` names it; touches nothing but the queue.
"""

from __future__ import annotations

import os

from pyqmail.delivery.program import says_yes
from pyqmail.errors import PERMANENT, SUCCESS, SUCCESS_AND_STOP, TransientFailure
from pyqmail.programs.forward import queue_again
from pyqmail.programs.run import require, run
from pyqmail.system.errnos import error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_USAGE = b"condredirect: usage: condredirect newaddress program [ arg ... ]\n"


def main() -> NoReturn:
    """Run as the command `condredirect`."""
    run("condredirect", condredirect)


def condredirect(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Queue the message on descriptor 0 for the new address if the program exits 0."""
    if len(arguments) < 2:  # noqa: PLR2004  address and program
        os.write(2, _USAGE)
        return PERMANENT
    address, *program = arguments
    if not says_yes(program, environ):
        return SUCCESS
    try:
        os.lseek(0, 0, os.SEEK_SET)
    except OSError as error:
        raise TransientFailure(b"unable to rewind: " + error_text(error)) from error
    reverse_path = require(environ, b"SENDER")  # not NEWSENDER: a list has no part in this
    delivered_to = require(environ, b"DTLINE")

    qp = queue_again(delivered_to, reverse_path, [address], environ)

    os.write(2, b"condredirect: qp %d\n" % qp)
    return SUCCESS_AND_STOP
