"""maildir2mbox - move mail from a Maildir into an mbox. See maildir2mbox(1).

Runs as the owner of both.
"""

from __future__ import annotations

import os
import time

from pyqmail.errors import SUCCESS
from pyqmail.mailbox.conversion import move_to_mbox
from pyqmail.programs.run import require_for_now, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `maildir2mbox`."""
    run("maildir2mbox", maildir2mbox)


def maildir2mbox(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Move the messages of MAILDIR to the end of MAIL, by way of MAILTMP."""
    os.umask(0o077)
    mbox, temporary, maildir = (
        os.fsdecode(require_for_now(environ, name)) for name in (b"MAIL", b"MAILTMP", b"MAILDIR")
    )
    for warning in move_to_mbox(maildir, mbox, temporary, int(time.time())):
        os.write(2, b"maildir2mbox: warning: %b\n" % warning)
    return SUCCESS
