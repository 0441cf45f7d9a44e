"""Messages whose descriptors a qmail-queue handed over: read in threads.

The other end of a descriptor may be slow, or a user who wants to keep us
waiting; and making it non-blocking would change it for its owner too. So each
message is read by a thread of its own, and no user may have all of them.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from pyqmail.queue.envelope_file import EnvelopeParser
from pyqmail.queue.outcome import BUG, READ_ERROR, TIMEOUT, QueueFailure
from pyqmail.queue.submission import TIME_LIMIT
from pyqmail.system.files import READ_SIZE

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from pyqmail.queue.store import Draft, Intake

MAX_THREADS: Final = 200

MAX_THREADS_OF_USER: Final = 100

_TICK_MS: Final = 500  # how late a reader notices that its client is gone


class HandedOver:
    """One message to be read from two descriptors, which are closed at the end.

    `cancel()` it when the client is gone. `done` is called on the loop with
    the complete draft, or with the exit code of qmail-queue.
    """

    def __init__(
        self,
        uid: int,
        pid: int,
        descriptors: tuple[int, int],
        done: Callable[[Draft | None, int], None],
    ) -> None:
        self.uid = uid
        self.pid = pid
        self.done = done
        self._descriptors = descriptors
        self._deadline = time.monotonic() + TIME_LIMIT
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Have the reader stop soon."""
        self._cancelled.set()

    def read(self, intake: Intake) -> Draft:
        """Read both descriptors to their end; raise QueueFailure, with no trace left."""
        draft = intake.begin(self.uid, self.pid)
        try:
            self._copy(draft)
        except BaseException:
            draft.abandon()
            raise
        return draft

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in self._descriptors:
            os.close(descriptor)

    def _copy(self, draft: Draft) -> None:
        message, envelope = self._descriptors
        while data := self._read(message):
            draft.write(data)
        parser = EnvelopeParser()
        while not parser.finished:
            data = self._read(envelope)
            if not data:
                raise QueueFailure(READ_ERROR)
            draft.write_envelope(parser.feed(data))

    def _read(self, descriptor: int) -> bytes:
        try:
            self._wait_for(descriptor)
            return os.read(descriptor, READ_SIZE)
        except OSError as error:
            raise QueueFailure(READ_ERROR) from error

    def _wait_for(self, descriptor: int) -> None:
        readable = select.poll()
        readable.register(descriptor, select.POLLIN)
        while not readable.poll(_TICK_MS):
            if time.monotonic() > self._deadline:
                raise QueueFailure(TIMEOUT)
            if self._cancelled.is_set():
                raise QueueFailure(READ_ERROR)
        if self._cancelled.is_set():
            raise QueueFailure(READ_ERROR)


class Readers:
    """The threads that read; who comes when there are enough of them waits."""

    def __init__(
        self, intake: Intake, loop: AbstractEventLoop, complain: Callable[[str], None]
    ) -> None:
        self._intake = intake
        self._loop = loop
        self._complain = complain
        self._running: Counter[int] = Counter()
        self._waiting: deque[HandedOver] = deque()

    def add(self, message: HandedOver) -> None:
        """Have a message read. Call it on the loop."""
        if self._has_room(message.uid):
            self._start(message)
        else:
            self._waiting.append(message)

    def _has_room(self, uid: int) -> bool:
        return self._running.total() < MAX_THREADS and self._running[uid] < MAX_THREADS_OF_USER

    def _start(self, message: HandedOver) -> None:
        self._running[message.uid] += 1
        # A daemon thread: one that a client keeps waiting must not keep the process.
        thread = threading.Thread(target=self._work, args=(message,), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread for us
            message.close()
            self._end(message, None, BUG)

    def _work(self, message: HandedOver) -> None:
        draft, code = None, 0
        try:
            draft = message.read(self._intake)
        except QueueFailure as failure:
            code = failure.code
        except Exception as error:  # noqa: BLE001  the top of this thread
            self._complain(f"unexpected {type(error).__name__} while reading: {error}")
            code = BUG
        finally:
            message.close()
        try:
            self._loop.call_soon_threadsafe(self._end, message, draft, code)
        except RuntimeError:  # the loop is closed: the process ends
            if draft is not None:
                draft.abandon()

    def _end(self, message: HandedOver, draft: Draft | None, code: int) -> None:
        self._running[message.uid] -= 1
        for waiting in list(self._waiting):
            if self._has_room(waiting.uid):
                self._waiting.remove(waiting)
                self._start(waiting)
        message.done(draft, code)
