"""Removing what belongs to qmailq: the work of qmail-clean, and asking it to; qmail-clean(8)."""

from __future__ import annotations

import os
import time

from pyqmail.queue import layout
from pyqmail.queue.store import CleanerLost
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

# Seconds after its last change that a file in pid/ counts as abandoned: 36 hours.
_OSSIFIED: Final = 129600

_SWEEP_INTERVAL: Final = 31  # requests between two looks at pid/

_MIN_REQUEST: Final = 6  # bytes without NUL: the prefix and one digit
_MAX_REQUEST: Final = 99

_CANNOT_ANSWER: Final = 100  # exit code

_PREFIX: Final = 5  # bytes before the number

# Requests on their way at once: their answers must fit into the pipe while nobody reads them.
_PIPELINE: Final = 500


class LocalCleaner:
    """Removes files itself; for the user who owns the queue.

    Answers `+` when the files are gone, `!` when one could not be removed,
    `x` to what is no request.
    """

    __slots__ = ("_queue", "_until_sweep")

    def __init__(self, home: str) -> None:
        self._queue = layout.queue_directory(home)
        self._until_sweep = 0

    def clean(self, requests: Sequence[bytes]) -> bytes:
        """Answer each request with one byte."""
        return b"".join([self._answer(request) for request in requests])

    def _answer(self, request: bytes) -> bytes:
        self.sweep_if_due()
        paths = self._named_files(request)
        if paths is None:
            return b"x"
        try:
            for path in paths:
                files.discard(path)
        except OSError:
            return b"!"
        return b"+"

    def _named_files(self, request: bytes) -> tuple[str, str] | None:
        digits = request[_PREFIX:]
        if not _MIN_REQUEST <= len(request) <= _MAX_REQUEST or not digits.isdigit():
            return None
        number = int(digits)
        intent = f"{self._queue}/{layout.intent_path(number)}"
        if request.startswith(b"foop/"):
            return intent, f"{self._queue}/{layout.message_path(number)}"
        if request.startswith(b"todo"):  # the original does not look at the fifth byte
            return intent, f"{self._queue}/{layout.todo_path(number)}"
        return None

    def sweep_if_due(self) -> None:
        """Sweep pid/ the first time and then before every 31st request."""
        if self._until_sweep == 0:
            self._until_sweep = _SWEEP_INTERVAL
            sweep_pid_files(self._queue, int(time.time()))
        self._until_sweep -= 1


def sweep_pid_files(queue: str, now: int) -> None:
    """Remove files in pid/ that nobody has touched for 36 hours; what cannot be read stays."""
    try:
        names = os.listdir(queue + "/pid")
    except OSError:
        return
    for name in names:
        path = f"{queue}/pid/{name}"
        try:
            if now >= os.stat(path).st_mtime + _OSSIFIED:
                files.unlink(path)
        except OSError:
            continue  # it went by itself, or the next sweep will see


class PipeCleaner:
    """Asks qmail-clean, which listens on one pipe and answers on another."""

    __slots__ = ("_requests", "_responses")

    def __init__(self, requests: int, responses: int) -> None:
        self._requests = requests
        self._responses = responses

    def clean(self, requests: Sequence[bytes]) -> bytes:
        """Answer each request with one byte; raise CleanerLost if qmail-clean is gone."""
        answers = b""
        for start in range(0, len(requests), _PIPELINE):
            answers += self._ask(requests[start : start + _PIPELINE])
        return answers

    def _ask(self, requests: Sequence[bytes]) -> bytes:
        answers = b""
        try:
            _write_all(self._requests, b"".join([request + b"\0" for request in requests]))
            while len(answers) < len(requests):
                piece = os.read(self._responses, len(requests) - len(answers))
                if not piece:
                    raise CleanerLost(b"lost qmail-clean connection")
                answers += piece
        except OSError as error:
            raise CleanerLost(b"lost qmail-clean connection") from error
        return answers


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def serve(home: str, requests: int, responses: int) -> int:
    """Be qmail-clean until the requests end; return its exit code."""
    cleaner = LocalCleaner(home)
    cleaner.sweep_if_due()
    rest = b""
    while piece := os.read(requests, files.READ_SIZE):
        *complete, rest = (rest + piece).split(b"\0")
        rest = rest[: _MAX_REQUEST + 1]  # what is too long already need not be kept
        try:
            _write_all(responses, cleaner.clean(complete))
        except BrokenPipeError:
            return _CANNOT_ANSWER
    return 0
