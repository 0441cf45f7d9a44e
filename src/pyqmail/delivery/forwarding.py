"""Send a delivered message on to other addresses, through the queue again."""

from __future__ import annotations

from pyqmail.queue.client import QueueClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def forward(
    delivered_to: bytes,
    message: int,
    reverse_path: bytes,
    addresses: Sequence[bytes],
    environ: Mapping[bytes, bytes],
) -> int:
    """Queue the line `delivered_to` and what is left to read of `message`; return the qp number.

    Addresses are used as they are. A failure has the text of the queue.
    """
    queue = QueueClient(environ)
    queue.write(delivered_to)
    try:
        queue.copy_from(message)
    except OSError:
        queue.fail()  # then commit() says what the original says
    return queue.commit(reverse_path, addresses)
