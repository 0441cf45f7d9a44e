"""elq - move mail out of the Maildir, then read it with elm. See elq(1).

Runs as the reader of the mail.
"""

from __future__ import annotations

from pyqmail.programs.maildir2mbox import maildir2mbox
from pyqmail.programs.run import run
from pyqmail.system.processes import execute_by_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `elq`."""
    run("elq", elq)


def elq(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Become `elm` when the new mail is where it looks for it."""
    maildir2mbox((), environ)
    execute_by_name([b"elm", *arguments], environ)
