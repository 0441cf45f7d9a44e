"""maildirmake - create a Maildir. See maildirmake(1).

Runs as whoever wants one.
"""

from __future__ import annotations

import os

from pyqmail.errors import PERMANENT, SUCCESS, TransientFailure
from pyqmail.mailbox.maildir import make_maildir
from pyqmail.programs.run import run
from pyqmail.system.errnos import error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `maildirmake`."""
    run("maildirmake", maildirmake)


def maildirmake(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Make the Maildir that the first argument names."""
    if not arguments:
        os.write(2, b"maildirmake: usage: maildirmake name\n")
        return PERMANENT
    try:
        make_maildir(os.fsdecode(arguments[0]))
    except OSError as error:
        name = os.fsencode(error.filename)
        text = b"unable to mkdir %b: %b" % (name, error_text(error))
        raise TransientFailure(text) from error
    return SUCCESS
