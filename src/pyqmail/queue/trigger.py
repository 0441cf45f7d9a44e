"""lock/trigger: how qmail-send hears at once that a message was accepted.

It is a FIFO. Whoever accepts a message writes a byte into it and does not
care whether anybody reads.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PATH: Final = "/lock/trigger"


def pull(queue: str) -> None:
    """Wake qmail-send, if one runs. Never fails: it looks by itself too, every 25 minutes."""
    try:
        descriptor = os.open(queue + _PATH, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(descriptor, b"\0")
    except OSError:
        pass  # full: then qmail-send has enough to hear
    finally:
        os.close(descriptor)


class Trigger:
    """The reading end."""

    __slots__ = ("_reader", "_writer")

    def __init__(self, queue: str) -> None:
        self._reader = os.open(queue + _PATH, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # With no writer left a FIFO is readable for ever: end of file. So we are one.
        self._writer = os.open(queue + _PATH, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor that is readable when somebody pulled."""
        return self._reader

    def drain(self) -> None:
        """Forget all pulls so far. Do this before looking at todo/, never after."""
        try:
            while os.read(self._reader, 4096):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Close both ends."""
        os.close(self._reader)
        os.close(self._writer)
