"""One thread that makes messages durable, for a process that serves many clients.

While one commit runs, the next batch gathers: so one round of syncs serves all
messages that arrived meanwhile, and no event loop ever waits for a disk.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from pyqmail.queue.outcome import BUG, QueueFailure

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Sequence

    from pyqmail.errors import TransientFailure
    from pyqmail.queue.store import Draft, Intake

    Answer = Callable[[int], None]

# Messages of one commit. Each holds two descriptors while it lasts, and longer
# batches gain little: measured, the time per message falls no further.
MAX_BATCH: Final = 200


class Committer:
    """Accepts drafts in batches; the exit code of qmail-queue for each comes back on the loop."""

    def __init__(
        self, intake: Intake, loop: AbstractEventLoop, complain: Callable[[str], None]
    ) -> None:
        self._intake = intake
        self._loop = loop
        self._complain = complain
        self._waiting: SimpleQueue[tuple[Draft, Answer] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="committer")
        self._thread.start()

    def submit(self, draft: Draft, answer: Answer) -> None:
        """Have a complete draft accepted; `answer` is called on the loop."""
        self._waiting.put((draft, answer))

    def finish(self) -> None:
        """Return when all that was submitted is committed; the last answers come after that."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._gather()
            if batch:
                codes = self._commit([draft for draft, _ in batch])
                answers = [answer for _, answer in batch]
                self._loop.call_soon_threadsafe(_give, answers, codes)

    def _gather(self) -> tuple[list[tuple[Draft, Answer]], bool]:
        """Wait for a draft, and return it with all others that are there; False at the end."""
        batch: list[tuple[Draft, Answer]] = []
        item = self._waiting.get()
        try:
            while item is not None and len(batch) < MAX_BATCH - 1:
                batch.append(item)
                item = self._waiting.get_nowait()
        except Empty:
            return batch, True
        if item is None:
            return batch, False
        batch.append(item)
        return batch, True

    def _commit(self, drafts: Sequence[Draft]) -> list[int]:
        try:
            return [_code(failure) for failure in self._intake.accept(drafts)]
        except Exception as error:  # noqa: BLE001  the top of this thread: it must go on
            self._complain(f"unexpected {type(error).__name__} while accepting: {error}")
            return [BUG] * len(drafts)


def _code(failure: TransientFailure | None) -> int:
    if failure is None:
        return 0
    return failure.code if isinstance(failure, QueueFailure) else BUG


def _give(answers: Sequence[Answer], codes: Sequence[int]) -> None:
    for answer, code in zip(answers, codes, strict=True):
        answer(code)
