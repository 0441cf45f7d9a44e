from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from pyqmail.delivery.destinations import Destinations, Unanswered

if TYPE_CHECKING:
    from pyqmail.delivery.connection import Connection

HERE, THERE = ("192.0.2.1", 25), ("192.0.2.2", 25)


class FakeConnection:
    def __init__(self, *, reusable: bool) -> None:
        self.reusable = reusable
        self.closed = False

    def close(self) -> None:
        self.closed = True


def fake(*, reusable: bool = True) -> Connection:
    return cast("Connection", FakeConnection(reusable=reusable))


async def waiting(destinations: Destinations) -> asyncio.Task[Connection | None]:
    task = asyncio.ensure_future(destinations.enter(HERE))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("reusable", [True, False])
def test_who_waits_gets_the_connection_if_it_can_be_used_again(*, reusable: bool) -> None:
    async def play() -> tuple[Connection | None, Connection]:
        destinations = Destinations(1)
        assert await destinations.enter(HERE) is None
        second = await waiting(destinations)
        assert not second.done()
        connection = fake(reusable=reusable)
        destinations.leave(HERE, connection)
        return await second, connection

    given, connection = asyncio.run(play())

    assert (given is connection) is reusable
    assert cast("FakeConnection", connection).closed is not reusable


def test_a_connection_that_nobody_waits_for_is_closed() -> None:
    async def play() -> Connection:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        connection = fake()
        destinations.leave(HERE, connection)
        assert await destinations.enter(HERE) is None
        return connection

    assert cast("FakeConnection", asyncio.run(play())).closed


def test_one_place_does_not_wait_for_another() -> None:
    async def play() -> bool:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        return await destinations.enter(THERE) is None

    assert asyncio.run(play())


def test_who_has_given_up_gets_nothing() -> None:
    async def play() -> Connection | None:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        second, third = await waiting(destinations), await waiting(destinations)
        second.cancel()
        await asyncio.sleep(0)
        destinations.leave(HERE, None)
        return await third

    assert asyncio.run(play()) is None


def test_all_who_wait_hear_that_a_place_does_not_answer() -> None:
    async def play() -> list[object]:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        tasks = [await waiting(destinations) for _ in range(3)]
        destinations.tell_the_waiting(HERE)
        destinations.leave(HERE, None)
        heard: list[object] = await asyncio.gather(*tasks, return_exceptions=True)
        return [*heard, await destinations.enter(HERE)]

    *heard, later = asyncio.run(play())

    assert [type(each) for each in heard] == [Unanswered] * 3
    assert later is None
