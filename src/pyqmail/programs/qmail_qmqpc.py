"""qmail-qmqpc - queue a mail message at another host via QMQP. See qmail-qmqpc(8).

Runs as whoever sends mail, in the place of qmail-queue. It reads control
files and connects to other hosts; it writes no file.
"""

from __future__ import annotations

from pyqmail.programs.run import home_of, run
from pyqmail.queue.qmqp import submit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-qmqpc`."""
    run("qmail-qmqpc", queue_elsewhere)


def queue_elsewhere(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Hand the message on descriptor 0, with the envelope on descriptor 1, to a server."""
    return submit(home_of(environ))
