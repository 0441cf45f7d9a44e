"""maildirwatch - look for new mail in a Maildir. See maildirwatch(1).

Runs as the owner of the Maildir, on a terminal, until it is killed.
"""

from __future__ import annotations

import os
import time

from pyqmail.mailbox.conversion import enter_maildir, scan
from pyqmail.mailbox.summary import show_new_mail
from pyqmail.programs.run import require_for_now, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final, NoReturn

PERIOD: Final = 30  # seconds
_CLEAR: Final = b"\33[;H\33[;J"


def main() -> NoReturn:
    """Run as the command `maildirwatch`."""
    run("maildirwatch", maildirwatch)


def maildirwatch(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Show what is new in MAILDIR, again and again."""
    enter_maildir(os.fsdecode(require_for_now(environ, b"MAILDIR")))
    while True:
        os.write(1, _CLEAR + show_new_mail(scan(int(time.time()), ("new",))))
        time.sleep(PERIOD)
