"""qmail-qstat - count the messages in the queue; see qmail-qstat(8).

Runs as root or qmailq; reads the names in mess/ and todo/ of the queue.
"""

from __future__ import annotations

import os
import sys

from pyqmail.programs.run import complain, home_of, run
from pyqmail.queue.inspection import count_files
from pyqmail.queue.layout import queue_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-qstat`."""
    run("qmail-qstat", count)


def count(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Print how many messages there are, and how many of them qmail-send has not seen yet."""
    queue = queue_directory(home_of(environ))
    for text, folder in (
        ("messages in queue", "mess"),
        ("messages in queue but not yet preprocessed", "todo"),
    ):
        path = f"{queue}/{folder}"
        if not os.access(path, os.R_OK | os.X_OK):
            complain("qmail-qstat", os.fsencode(f"unable to read {path}"))
        sys.stdout.write(f"{text}: {count_files(path)}\n")
    return 0
