"""A place that turns connections away: how many it gets from then on, under a clock that jumps."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.connections import fake
from tests.support.simulated_time import run

from pyqmail.control.tlspolicy import Policy
from pyqmail.delivery.destinations import CROWDED, GROWTH, Destinations, Unanswered
from pyqmail.delivery.hops import Hop
from pyqmail.delivery.outcome import Outcome
from pyqmail.delivery.security import Security

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pyqmail.delivery.connection import Connection

HERE = Hop(ipaddress.ip_address("192.0.2.1"), 25)
REFUSAL = Outcome([], b"ZConnected to 192.0.2.1 but greeting failed.\n", elsewhere=True)


def play(coroutine: Coroutine[Any, Any, None]) -> None:
    run(coroutine)


async def enter(destinations: Destinations, number: int) -> None:
    """Let so many in, who all are to open connections."""
    for _ in range(number):
        assert await asyncio.wait_for(destinations.enter(HERE), 1) is None


def turn_away(destinations: Destinations, number: int) -> None:
    """Have so many of those that are in be turned away."""
    for _ in range(number):
        assert destinations.turned_away(HERE, REFUSAL)
        destinations.leave(HERE, None, served=False)


async def waiting(destinations: Destinations) -> asyncio.Task[Connection | None]:
    task = asyncio.ensure_future(destinations.enter(HERE))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("allowed", [1, 5, 19])
def test_a_place_gets_as_many_connections_as_it_has_taken(allowed: int) -> None:
    async def story() -> None:
        destinations = Destinations(20)
        await enter(destinations, 20)
        turn_away(destinations, 20 - allowed)

        next_one = await waiting(destinations)
        assert not next_one.done()
        connection = fake()
        destinations.leave(HERE, connection, served=True)
        assert await next_one is connection

    play(story())


def test_who_is_turned_away_lets_nobody_in_who_would_be_turned_away_too() -> None:
    async def story() -> None:
        destinations = Destinations(2)
        await enter(destinations, 2)
        third = await waiting(destinations)
        turn_away(destinations, 1)
        await asyncio.sleep(0)
        assert not third.done()

        destinations.leave(HERE, None, served=True)

        assert await third is None

    play(story())


def test_a_place_that_turns_the_only_one_away_takes_nobody() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await enter(destinations, 1)
        tasks = [await waiting(destinations) for _ in range(3)]

        assert not destinations.turned_away(HERE, REFUSAL)
        destinations.leave(HERE, None, served=False)

        heard = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each.outcome for each in heard if isinstance(each, Unanswered)] == [REFUSAL] * 3
        await enter(destinations, 1)

    play(story())


def test_after_a_minute_one_more_is_tried_now_and_then_while_the_place_works() -> None:
    async def story() -> None:
        destinations = Destinations(20)
        await enter(destinations, 3)
        turn_away(destinations, 1)
        tasks = [await waiting(destinations) for _ in range(100)]
        served = 0
        opened = []  # seconds after the refusal when a further connection was opened

        for second in range(CROWDED + 3 * GROWTH):
            await asyncio.sleep(1)
            destinations.leave(HERE, fake(), served=True)
            await asyncio.sleep(0)
            done = [task for task in tasks if task.done()]
            opened += [second + 1 for task in done if task.result() is None]
            served += len(done)
            tasks = [task for task in tasks if not task.done()]

        assert opened == [CROWDED, CROWDED + GROWTH, CROWDED + 2 * GROWTH, CROWDED + 3 * GROWTH]
        assert served == CROWDED + 3 * GROWTH + len(opened)

    play(story())


def test_one_that_is_turned_away_again_is_followed_by_nobody_for_another_minute() -> None:
    async def story() -> None:
        destinations = Destinations(20)
        await enter(destinations, 3)
        turn_away(destinations, 1)
        await asyncio.sleep(CROWDED)
        destinations.leave(HERE, fake(), served=True)
        assert await destinations.enter(HERE) is not None
        await enter(destinations, 1)
        turn_away(destinations, 1)

        await asyncio.sleep(CROWDED - 1)
        destinations.leave(HERE, fake(), served=True)
        assert await destinations.enter(HERE) is not None
        assert not (await waiting(destinations)).done()

    play(story())


def test_what_a_place_takes_is_remembered_for_a_minute_and_then_forgotten() -> None:
    async def story() -> None:
        destinations = Destinations(20, keep=0)
        await enter(destinations, 2)
        turn_away(destinations, 1)
        destinations.leave(HERE, None, served=True)
        await asyncio.sleep(CROWDED - 1)
        await enter(destinations, 1)
        assert not (await waiting(destinations)).done()
        destinations.leave(HERE, None, served=True)

        await asyncio.sleep(0)
        destinations.leave(HERE, None, served=True)
        await asyncio.sleep(1)
        await enter(destinations, 20)

    play(story())


def test_connections_that_are_kept_give_way_where_fewer_are_taken() -> None:
    async def story() -> None:
        demanding = replace(HERE, security=Security(Policy.VERIFY))
        destinations = Destinations(20)
        await enter(destinations, 4)
        for _ in range(3):
            destinations.leave(HERE, fake(), served=True)
        destinations.turned_away(HERE, REFUSAL)
        destinations.leave(HERE, None, served=False)

        assert await asyncio.wait_for(destinations.enter(demanding), 1) is None
        destinations.leave(demanding, None, served=True)

    play(story())
