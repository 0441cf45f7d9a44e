"""qmail-tcpto - print the table of hosts that did not answer; see qmail-tcpto(8).

Runs as root or qmailr; locks and reads lock/tcpto of the queue.
"""

from __future__ import annotations

import sys
import time

from pyqmail.errors import TRANSIENT, TransientFailure
from pyqmail.programs.run import home_of, run
from pyqmail.queue import tcpto

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-tcpto`."""
    run("qmail-tcpto", show)


def show(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Print one line for each host; complaints go to standard output too."""
    try:
        hosts = tcpto.read_table(home_of(environ))
    except TransientFailure as failure:
        sys.stdout.buffer.write(b"fatal: " + failure.text + b"\n")
        return TRANSIENT
    now = int(time.time())
    sys.stdout.buffer.write(b"".join(tcpto.describe(host, now) for host in hosts))
    return 0
