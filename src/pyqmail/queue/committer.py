"""Two threads that make messages durable, for a process that serves many clients.

One has messages written and synced, the other publishes what is written; each
takes what has gathered while it worked. So a round of syncs serves all
messages that arrived meanwhile, the two rounds that a message needs go on side by
side for different messages, and no event loop ever waits for a disk.
"""

from __future__ import annotations

import threading
from queue import Empty, Queue, SimpleQueue
from typing import TYPE_CHECKING, Final

from pyqmail.queue.outcome import BUG, QueueFailure

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Sequence

    from pyqmail.queue.store import Draft, Intake

    Answer = Callable[[int], None]
    Entry = tuple[Draft, Answer]
    Results = Sequence[Exception | None]

# Messages of one step. Each holds two descriptors while it lasts, and longer
# batches gain little: measured, the time per message falls no further.
MAX_BATCH: Final = 200


class Committer:
    """Accepts drafts in batches; the exit code of qmail-queue for each comes back on the loop."""

    def __init__(
        self, intake: Intake, loop: AbstractEventLoop, complain: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._complain = complain
        # Where publishing is slow, preparing waits: what is prepared has open files. The
        # event loop must not wait, and holds little.
        prepared: Queue[Entry | None] = Queue(MAX_BATCH)
        self._publishing = _Stage("publisher", prepared, intake.publish, self._end)
        self._preparing = _Stage("preparer", SimpleQueue(), intake.prepare, self._hand_on)

    def submit(self, draft: Draft, answer: Answer) -> None:
        """Have a complete draft accepted; `answer` is called on the loop."""
        self._preparing.put(draft, answer)

    def finish(self) -> None:
        """Return when all that was submitted is committed; the last answers come after that."""
        self._preparing.finish()
        self._publishing.finish()

    def _hand_on(self, batch: Sequence[Entry], results: Results) -> None:
        """Have those published that are prepared, and tell the others."""
        failed = []
        for entry, result in zip(batch, results, strict=True):
            if result is None:
                self._publishing.put(*entry)
            else:
                failed.append((entry, result))
        self._end([entry for entry, _ in failed], [result for _, result in failed])

    def _end(self, batch: Sequence[Entry], results: Results) -> None:
        if batch:
            answers = [answer for _, answer in batch]
            codes = [self._code(result) for result in results]
            self._loop.call_soon_threadsafe(_give, answers, codes)

    def _code(self, result: Exception | None) -> int:
        if result is None:
            return 0
        if isinstance(result, QueueFailure):
            return result.code
        self._complain(f"unexpected {type(result).__name__} while accepting: {result}")
        return BUG


class _Stage:
    """A thread that does one step for all drafts that are there, and then for the next ones."""

    def __init__(
        self,
        name: str,
        waiting: Queue[Entry | None] | SimpleQueue[Entry | None],
        step: Callable[[Sequence[Draft]], Results],
        tell: Callable[[Sequence[Entry], Results], None],
    ) -> None:
        self._step = step
        self._tell = tell
        self._waiting = waiting
        self._thread = threading.Thread(target=self._work, name=name)
        self._thread.start()

    def put(self, draft: Draft, answer: Answer) -> None:
        self._waiting.put((draft, answer))

    def finish(self) -> None:
        """Return when all is done that was put here."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._gather()
            if batch:
                self._tell(batch, self._take_step([draft for draft, _ in batch]))

    def _gather(self) -> tuple[list[Entry], bool]:
        """Wait for a draft, and return it with all others that are there; False at the end."""
        batch: list[Entry] = []
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

    def _take_step(self, drafts: Sequence[Draft]) -> Results:
        try:
            return self._step(drafts)
        except Exception as error:  # noqa: BLE001  the top of this thread: it must go on
            return [error] * len(drafts)


def _give(answers: Sequence[Answer], codes: Sequence[int]) -> None:
    for answer, code in zip(answers, codes, strict=True):
        answer(code)
