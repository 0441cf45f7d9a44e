"""qmail-queue - queue a mail message for delivery; see qmail-queue(8).

Anybody may run it. qmail-queued does the work; where it does not listen, this
process does, if it is root (then it becomes the owner of the queue) or that owner.
It never prints.
"""

from __future__ import annotations

from pyqmail.programs.run import home_of, run
from pyqmail.queue.submission import submit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-queue`."""
    run("qmail-queue", queue)


def queue(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Queue the message on descriptor 0 with the envelope on descriptor 1."""
    return submit(home_of(environ))
