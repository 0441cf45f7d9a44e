from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pyqmail.system.timelimit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

SOON = 0.02  # seconds
LATE = 60


def run(test: Callable[[TimeLimit], Coroutine[None, None, None]]) -> None:
    async def within() -> None:
        limit = TimeLimit()
        try:
            await test(limit)
        finally:
            limit.close()

    asyncio.run(within())


def at(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def word() -> str:
    await asyncio.sleep(0)
    return "word"


def test_what_comes_in_time_is_returned() -> None:
    async def test(limit: TimeLimit) -> None:
        for _ in range(3):
            assert await limit.wait(at(LATE), word()) == "word"

    run(test)


def test_what_does_not_come_in_time_is_waited_for_no_longer() -> None:
    async def test(limit: TimeLimit) -> None:
        begin = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await limit.wait(at(SOON), for_ever())
        assert asyncio.get_running_loop().time() >= begin + SOON
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(test)


def test_a_later_wait_has_its_own_time() -> None:
    async def test(limit: TimeLimit) -> None:
        await limit.wait(at(SOON), word())
        await limit.wait(at(LATE), asyncio.sleep(3 * SOON))  # the timer rings meanwhile
        with pytest.raises(TimeoutError):
            await limit.wait(at(SOON), for_ever())
        assert await limit.wait(at(LATE), word()) == "word"

    run(test)


def test_a_shorter_time_is_not_longer_because_of_the_one_before() -> None:
    async def test(limit: TimeLimit) -> None:
        await limit.wait(at(LATE), word())
        async with asyncio.timeout(LATE / 2):
            with pytest.raises(TimeoutError):
                await limit.wait(at(SOON), for_ever())

    run(test)


def test_time_that_passes_between_two_waits_ends_neither() -> None:
    async def test(limit: TimeLimit) -> None:
        await limit.wait(at(SOON), word())
        await asyncio.sleep(3 * SOON)
        assert await limit.wait(at(LATE), word()) == "word"

    run(test)


def test_a_time_that_is_over_already_is_over() -> None:
    async def test(limit: TimeLimit) -> None:
        with pytest.raises(TimeoutError):
            await limit.wait(at(-1), for_ever())

    run(test)


def test_what_goes_wrong_meanwhile_is_told_as_it_is() -> None:
    async def fail() -> None:
        raise OSError("gone")

    async def test(limit: TimeLimit) -> None:
        with pytest.raises(OSError, match="gone"):
            await limit.wait(at(LATE), fail())

    run(test)


def test_who_cancels_the_task_cancels_it() -> None:
    async def test(limit: TimeLimit) -> None:
        task = asyncio.create_task(limit.wait(at(LATE), for_ever()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(test)


def test_who_cancels_the_task_at_the_same_moment_cancels_it_all_the_same() -> None:
    async def stubborn(wait: asyncio.Event) -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            wait.set()
            await asyncio.sleep(LATE)

    async def test(limit: TimeLimit) -> None:
        rung = asyncio.Event()
        task = asyncio.create_task(limit.wait(at(SOON), stubborn(rung)))
        await rung.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(test)


def test_one_that_was_closed_keeps_nothing_waiting() -> None:
    async def test(limit: TimeLimit) -> None:
        await limit.wait(at(SOON), word())
        limit.close()
        assert await limit.wait(at(LATE), asyncio.sleep(2 * SOON, "word")) == "word"

    run(test)
