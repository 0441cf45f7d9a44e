"""qmail-qread - list the messages in the queue and their recipients; see qmail-qread(8).

Runs as root or qmails; reads info/, local/, remote/, bounce/ and mess/ of the queue.
"""

from __future__ import annotations

import sys

from pyqmail.errors import TRANSIENT, TransientFailure
from pyqmail.programs.run import home_of, run
from pyqmail.queue import inspection
from pyqmail.queue.inspection import Trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-qread`."""
    run("qmail-qread", list_queue)


def list_queue(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """List the queue on standard output, where this program's complaints go too."""
    home = home_of(environ)
    try:
        for message in inspection.list_messages(home):
            if isinstance(message, Trouble):
                _warn(message)
                continue
            sys.stdout.buffer.write(inspection.describe(message))
            for recipient in inspection.list_recipients(home, message.number):
                if isinstance(recipient, Trouble):
                    _warn(recipient)
                else:
                    channel, address, done = recipient
                    line = inspection.describe_recipient(channel, address, done=done)
                    sys.stdout.buffer.write(line)
    except TransientFailure as failure:
        sys.stdout.buffer.write(b"fatal: " + failure.text + b"\n")
        return TRANSIENT
    return 0


def _warn(trouble: Trouble) -> None:
    line = b"warning: trouble with #%d: %b\n" % (trouble.number, trouble.reason)
    sys.stdout.buffer.write(line)
