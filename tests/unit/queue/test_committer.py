from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest

from pyqmail.queue.committer import MAX_BATCH, Committer
from pyqmail.queue.outcome import BUG, WRITE_ERROR, QueueFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

PATIENCE = 20  # seconds


class Intake:
    """Does what a test says with each batch, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.prepared: list[Any] = []
        self.published: list[Any] = []
        self.on_prepare: Callable[[Sequence[Any]], list[Exception | None]] = _all_is_well
        self.on_publish: Callable[[Sequence[Any]], list[Exception | None]] = _all_is_well

    def prepare(self, drafts: Sequence[Any]) -> list[Exception | None]:
        self.prepared += drafts
        return self.on_prepare(drafts)

    def publish(self, drafts: Sequence[Any]) -> list[Exception | None]:
        self.published += drafts
        return self.on_publish(drafts)


class Trial:
    """A committer on a loop of its own; `codes` are the answers so far."""

    def __init__(self) -> None:
        self.intake = Intake()
        self.complaints: list[str] = []
        self.codes: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._committer = Committer(self.intake, loop, self.complaints.append)  # type: ignore[arg-type]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.finish()

    def submit(self, *drafts: str) -> None:
        for draft in drafts:
            self._committer.submit(draft, lambda code, draft=draft: self._hear(draft, code))  # type: ignore[arg-type,misc]

    def _hear(self, draft: str, code: int) -> None:
        assert draft not in self.codes, "answered twice"
        self.codes[draft] = code

    async def finish(self) -> None:
        await asyncio.to_thread(self._committer.finish)
        await asyncio.sleep(0)

    async def until(self, happens: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not happens():  # noqa: ASYNC110  threads change what it looks at
                await asyncio.sleep(0.001)


def run(test: Callable[[Trial], Awaitable[None]]) -> None:
    async def within() -> None:
        async with Trial() as trial:
            await test(trial)

    asyncio.run(within())


def test_a_draft_is_prepared_and_then_published_before_it_is_answered() -> None:
    async def test(trial: Trial) -> None:
        answered_before: list[dict[str, int]] = []

        def publish(drafts: Sequence[Any]) -> list[Exception | None]:
            assert set(drafts) <= set(trial.intake.prepared)
            answered_before.append(dict(trial.codes))
            return _all_is_well(drafts)

        trial.intake.on_publish = publish
        trial.submit("a")
        await trial.until(lambda: trial.codes == {"a": 0})
        assert answered_before == [{}]

    run(test)


def test_the_next_ones_are_prepared_while_others_are_published() -> None:
    async def test(trial: Trial) -> None:
        may_end = threading.Event()

        def publish(drafts: Sequence[Any]) -> list[Exception | None]:
            assert may_end.wait(PATIENCE)
            return _all_is_well(drafts)

        trial.intake.on_publish = publish
        trial.submit("a")
        await trial.until(lambda: trial.intake.published == ["a"])
        trial.submit("b", "c")
        await trial.until(lambda: trial.intake.prepared == ["a", "b", "c"])
        assert trial.codes == {}
        may_end.set()
        await trial.until(lambda: trial.codes == {"a": 0, "b": 0, "c": 0})

    run(test)


def test_what_gathers_meanwhile_shares_a_step() -> None:
    async def test(trial: Trial) -> None:
        sizes = []
        may_begin = threading.Event()

        def prepare(drafts: Sequence[Any]) -> list[Exception | None]:
            assert may_begin.wait(PATIENCE)
            sizes.append(len(drafts))
            return _all_is_well(drafts)

        trial.intake.on_prepare = prepare
        trial.submit("first")
        await trial.until(lambda: trial.intake.prepared == ["first"])
        trial.submit(*map(str, range(450)))
        may_begin.set()
        await trial.finish()
        assert sizes == [1, 200, 200, 50]
        assert set(trial.codes.values()) == {0}

    run(test)


def test_few_are_prepared_while_nothing_can_be_published() -> None:
    most = 3 * MAX_BATCH  # being published, waiting for that, being prepared

    async def test(trial: Trial) -> None:
        too_many = threading.Event()
        seen = []

        def prepare(drafts: Sequence[Any]) -> list[Exception | None]:
            if len(trial.intake.prepared) > most:
                too_many.set()
            return _all_is_well(drafts)

        def publish(drafts: Sequence[Any]) -> list[Exception | None]:
            if not seen:
                seen.append(too_many.wait(0.3))
            return _all_is_well(drafts)

        trial.intake.on_prepare = prepare
        trial.intake.on_publish = publish
        trial.submit(*map(str, range(2 * most)))
        await trial.finish()
        assert seen == [False]
        assert len(trial.codes) == 2 * most

    run(test)


def test_one_that_cannot_be_prepared_is_answered_and_not_published() -> None:
    async def test(trial: Trial) -> None:
        def prepare(drafts: Sequence[Any]) -> list[Exception | None]:
            return [QueueFailure(WRITE_ERROR) if draft == "bad" else None for draft in drafts]

        trial.intake.on_prepare = prepare
        trial.submit("good", "bad", "fine")
        await trial.finish()
        assert trial.codes == {"good": 0, "bad": WRITE_ERROR, "fine": 0}
        assert trial.intake.published == ["good", "fine"]

    run(test)


@pytest.mark.parametrize("step", ["on_prepare", "on_publish"])
def test_what_nobody_foresaw_is_the_trouble_of_one_batch_only(step: str) -> None:
    async def test(trial: Trial) -> None:
        def fail(_drafts: Sequence[Any]) -> list[Exception | None]:
            setattr(trial.intake, step, _all_is_well)
            raise RuntimeError("unforeseen")

        setattr(trial.intake, step, fail)
        trial.submit("a")
        await trial.until(lambda: "a" in trial.codes)
        trial.submit("b")
        await trial.finish()
        assert trial.codes == {"a": BUG, "b": 0}
        assert trial.complaints == ["unexpected RuntimeError while accepting: unforeseen"]

    run(test)


def test_at_the_end_all_that_was_submitted_is_answered() -> None:
    async def test(trial: Trial) -> None:
        trial.submit(*map(str, range(100)))
        await trial.finish()
        assert trial.codes == {str(number): 0 for number in range(100)}

    run(test)


def _all_is_well(drafts: Sequence[Any]) -> list[Exception | None]:
    return [None] * len(drafts)
