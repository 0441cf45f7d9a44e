"""mailsubj - send a message with a subject. See mailsubj(1).

Runs as the user who sends the message.
"""

from __future__ import annotations

import os

from pyqmail.control.launchers import is_ours
from pyqmail.errors import PERMANENT
from pyqmail.programs.predate import feed
from pyqmail.programs.qmail_inject import inject_from
from pyqmail.programs.run import home_of, run
from pyqmail.system.standard_input import open_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `mailsubj`."""
    run("qmail-inject", mailsubj)


def mailsubj(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Give standard input to qmail-inject as a body below Subject and To."""
    if not arguments:
        os.write(2, b"mailsubj: usage: mailsubj subject recipient ...\n")
        return PERMANENT
    subject, *recipients = arguments
    header = b"Subject: %b\nTo: %b\n\n" % (subject, b" ".join(recipients))
    home = home_of(environ)
    if is_ours(home, "qmail-inject"):
        return inject_from(open_input(header), [], environ)
    return feed(header, [os.fsencode(home) + b"/bin/qmail-inject"], environ)
