"""datemail - send a message as sendmail does, with a Date field in local time.

See datemail(1). Runs as the user who sends the message.
"""

from __future__ import annotations

import os

from pyqmail.control.launchers import is_ours
from pyqmail.programs.predate import date_field, predate
from pyqmail.programs.run import home_of, run
from pyqmail.programs.sendmail import sendmail_from
from pyqmail.system.standard_input import open_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `datemail`."""
    run("datemail", datemail)


def datemail(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Do what `predate sendmail ARGUMENTS` would do."""
    home = home_of(environ)
    if is_ours(home, "sendmail") and is_ours(home, "qmail-inject"):
        return sendmail_from(open_input(date_field()), arguments, environ)
    return predate([os.fsencode(home) + b"/bin/sendmail", *arguments], environ)
