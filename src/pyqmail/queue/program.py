"""The way into the queue through a process: a program in the place of qmail-queue."""

from __future__ import annotations

import os

from pyqmail.errors import TransientFailure
from pyqmail.queue import outcome
from pyqmail.queue.outcome import CRASHED
from pyqmail.system import processes
from pyqmail.system.descriptors import duplicate_above

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_MAX_TEXT: Final = 255  # bytes read from descriptor 6

_FREE: Final = 10  # descriptors below are given to the program, or may be


class Program:
    """A child that is to queue one message.

    It gets the message on descriptor 0, the envelope on descriptor 1, may say
    on descriptor 6 why it refuses, and runs in the home's folder. `start` is
    called in the child; it executes a program or returns an exit code.
    """

    def __init__(self, home: str, start: Callable[[], int]) -> None:
        self._open: list[int] = []
        try:
            message, self._message = self._pipe()
            envelope, self._envelope = self._pipe()
            self._text, text = self._pipe()
            self.pid = os.fork()
        except OSError as error:
            self._close(*self._open)
            raise TransientFailure(b"unable to fork") from error
        if self.pid == 0:
            # If nothing is executed, nothing else closes them, and we would wait for ourselves.
            self._close(self._message, self._envelope, self._text)
            _be_child(home, start, message, envelope, text)
        self._close(message, envelope, text)
        self._failed = False

    def write(self, data: bytes) -> None:
        """Give the program more of the message."""
        self._write(self._message, data)

    def write_envelope(self, data: bytes) -> None:
        """Give the program more of the envelope; the message has ended."""
        if self._message in self._open:
            self._close(self._message)
        # Without its last NUL no qmail-queue takes an envelope: so what was
        # not written whole is not queued.
        self._write(self._envelope, data)

    def commit(self) -> tuple[int, int, bytes]:
        """Wait for the end of the program, which has all now."""
        self._close(self._envelope)
        text = self._read_text()
        status = self._wait()
        if processes.crashed(status):
            raise TransientFailure(CRASHED)
        code = processes.exit_code(status)
        if code == 0 and self._failed:
            code = outcome.READ_ERROR
        return code, self.pid, text

    def abandon(self) -> None:
        """Let the program see a message without an envelope."""
        self._close(self._message, self._envelope)
        self._read_text()
        self._wait()

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._open += ends
        return ends

    def _close(self, *descriptors: int) -> None:
        for descriptor in descriptors:
            self._open.remove(descriptor)
            os.close(descriptor)

    def _write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view and not self._failed:
                view = view[os.write(descriptor, view) :]
        except OSError:
            self._failed = True

    def _read_text(self) -> bytes:
        text = b""
        try:
            while len(text) < _MAX_TEXT:
                piece = os.read(self._text, _MAX_TEXT - len(text))
                if not piece:
                    break
                text += piece
        except OSError:
            pass  # then the exit code alone must say it
        self._close(self._text)
        return text

    def _wait(self) -> int:
        try:
            return processes.wait_for(self.pid)
        except OSError as error:
            raise TransientFailure(b"qq waitpid surprise (#4.3.0)") from error


def _be_child(home: str, start: Callable[[], int], message: int, envelope: int, text: int) -> None:
    code = outcome.CANNOT_EXECUTE
    try:
        _arrange(message, envelope, text)
        try:
            os.chdir(home)
        except OSError:
            os._exit(outcome.NO_HOME)
        code = start()
    except TransientFailure as failure:
        code = failure.exit_code
    except OSError:
        pass
    finally:
        # Never return: the parent's stack lies above.
        os._exit(code)


def _arrange(message: int, envelope: int, text: int) -> None:
    """Make the pipes descriptors 0, 1 and 6, in whatever order they are now."""
    raised = [duplicate_above(descriptor, _FREE) for descriptor in (message, envelope, text)]
    for descriptor, target in zip(raised, (0, 1, 6), strict=True):
        os.dup2(descriptor, target)
