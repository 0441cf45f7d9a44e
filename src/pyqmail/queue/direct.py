"""The way into the queue for its owner where no qmail-queued listens: into the files."""

from __future__ import annotations

import os

from pyqmail.control.roles import roles_of
from pyqmail.queue.envelope_file import EnvelopeParser
from pyqmail.queue.intake import own_intake
from pyqmail.queue.outcome import QueueFailure
from pyqmail.queue.submission import UMASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Direct:
    """One message written into the queue's files by this process."""

    def __init__(self, home: str) -> None:
        """Raise QueueFailure where the queue must be mended first."""
        self._failure: QueueFailure | None = None
        self._parser = EnvelopeParser()
        self._mask = os.umask(UMASK)
        os.umask(self._mask)
        self._intake = own_intake(home, roles_of(home))
        self._draft = self._intake.begin(os.getuid(), os.getpid())

    def write(self, data: bytes) -> None:
        """Take the next bytes of the message."""
        self._attempt(lambda: self._draft.write(data))

    def write_envelope(self, data: bytes) -> None:
        """Take the next bytes of the envelope."""
        self._attempt(lambda: self._draft.write_envelope(self._parser.feed(data)))

    def commit(self) -> tuple[int, int, bytes]:
        """Queue the message; return exit code, qp number and no text."""
        self._attempt(self._finish)
        return self._failure.code if self._failure else 0, os.getpid(), b""

    def abandon(self) -> None:
        """End without an envelope; nothing is left of the message."""
        self._draft.abandon()

    def _finish(self) -> None:
        (failure,) = self._intake.accept([self._draft])
        if failure is not None:
            raise failure

    def _attempt(self, step: Callable[[], None]) -> None:
        if self._failure is not None:
            return
        # The files must be readable for qmail-send, whatever the umask of the caller.
        previous = os.umask(UMASK)
        try:
            step()
        except QueueFailure as failure:
            self._draft.abandon()
            self._failure = failure
        finally:
            os.umask(previous)
