"""forward - forward new mail to one or more addresses. See forward(1).

Runs as the user whose `.qmail` names it; touches nothing but the queue.
"""

from __future__ import annotations

import os

from pyqmail.errors import TransientFailure
from pyqmail.programs.run import require, run
from pyqmail.queue.client import QueueClient
from pyqmail.system.errnos import error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `forward`."""
    run("forward", forward)


def forward(addresses: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Queue the message on descriptor 0 once more, for `addresses`."""
    reverse_path = require(environ, b"NEWSENDER")
    delivered_to = require(environ, b"DTLINE")

    qp = queue_again(delivered_to, reverse_path, addresses, environ)

    os.write(2, b"forward: qp %d\n" % qp)
    return 0


def queue_again(
    delivered_to: bytes,
    reverse_path: bytes,
    addresses: Sequence[bytes],
    environ: Mapping[bytes, bytes],
) -> int:
    """Queue `delivered_to` and the message on descriptor 0; return the qp number."""
    queue = QueueClient(environ)
    queue.write(delivered_to)
    try:
        queue.copy_from(0)
    except OSError as error:
        queue.fail()
        raise TransientFailure(b"unable to read message: " + error_text(error)) from error
    return queue.commit(reverse_path, addresses)
