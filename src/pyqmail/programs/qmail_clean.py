"""qmail-clean - remove messages that qmail-send is done with; see qmail-clean(8).

Runs as qmailq; touches pid/, intd/, todo/ and mess/ of the queue.
"""

from __future__ import annotations

import os

from pyqmail.errors import TRANSIENT
from pyqmail.programs.run import home_of, run
from pyqmail.queue.cleanup import serve
from pyqmail.queue.layout import queue_directory
from pyqmail.system import confinement
from pyqmail.system.processes import set_title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-clean`."""
    run("qmail-clean", clean)


def clean(_arguments: Sequence[bytes], environment: Mapping[bytes, bytes]) -> int:
    """Serve qmail-send on descriptors 0 and 1 until it hangs up."""
    home = home_of(environment)
    set_title("qmail-clean")
    if not os.access(queue_directory(home), os.X_OK):
        return TRANSIENT
    confinement.forbid_new_privileges()
    confinement.forbid_core_dumps()
    return serve(home, 0, 1)
