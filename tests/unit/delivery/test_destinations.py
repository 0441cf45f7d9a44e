"""Who gets a connection, under a clock that jumps."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.connections import closed, fake, wear_out
from tests.support.simulated_time import run

from pyqmail.control.smtproutes_auth import Login
from pyqmail.control.tlspolicy import Policy
from pyqmail.delivery.destinations import KEEP, MAX_KEPT, SILENCE, STUCK, Destinations, Unanswered
from pyqmail.delivery.hops import Hop
from pyqmail.delivery.security import Security

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pyqmail.delivery.connection import Connection

HERE = Hop(ipaddress.ip_address("192.0.2.1"), 25)
THERE = Hop(ipaddress.ip_address("192.0.2.2"), 25)
DEMANDING = replace(HERE, security=Security(Policy.VERIFY))


def play(coroutine: Coroutine[Any, Any, None]) -> None:
    run(coroutine)


async def waiting(destinations: Destinations, hop: Hop = HERE) -> asyncio.Task[Connection | None]:
    task = asyncio.ensure_future(destinations.enter(hop))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("reusable", [True, False])
def test_who_waits_gets_the_connection_if_it_can_be_used_again(*, reusable: bool) -> None:
    async def story() -> None:
        destinations = Destinations(1)
        assert await destinations.enter(HERE) is None
        second = await waiting(destinations)
        assert not second.done()
        connection = fake(reusable=reusable)
        destinations.leave(HERE, connection, served=True)

        assert (await second is connection) is reusable
        assert closed(connection) is not reusable

    play(story())


def test_a_connection_that_nobody_waits_for_is_kept_for_a_moment() -> None:
    async def story() -> None:
        destinations = Destinations()
        await destinations.enter(HERE)
        connection = fake()
        destinations.leave(HERE, connection, served=True)

        await asyncio.sleep(KEEP - 1)
        assert await destinations.enter(HERE) is connection
        destinations.leave(HERE, connection, served=True)
        await asyncio.sleep(KEEP - 1)
        assert not closed(connection)
        await asyncio.sleep(2)
        assert closed(connection)
        assert await destinations.enter(HERE) is None

    play(story())


def test_one_that_has_died_meanwhile_is_not_given_to_anybody() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        connection = fake()
        destinations.leave(HERE, connection, served=True)
        wear_out(connection)

        assert await destinations.enter(HERE) is None
        assert closed(connection)

    play(story())


@pytest.mark.parametrize(
    "other",
    [
        THERE,
        replace(HERE, port=26),
        DEMANDING,
        replace(HERE, login=Login(b"us", b"secret")),
    ],
)
def test_a_connection_serves_no_other_hop(other: Hop) -> None:
    async def story() -> None:
        destinations = Destinations()
        await destinations.enter(HERE)
        connection = fake()
        destinations.leave(HERE, connection, served=True)

        assert await destinations.enter(other) is None
        assert await destinations.enter(HERE) is connection

    play(story())


def test_hops_of_one_place_share_its_connections() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        second = await waiting(destinations, DEMANDING)
        assert not second.done()
        connection = fake()
        destinations.leave(HERE, connection, served=True)

        assert await second is None
        assert closed(connection)

    play(story())


def test_a_kept_connection_makes_room_for_another_hop_of_its_place() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        connection = fake()
        destinations.leave(HERE, connection, served=True)

        assert await destinations.enter(DEMANDING) is None
        assert closed(connection)
        destinations.leave(DEMANDING, None, served=False)

    play(story())


def test_not_more_are_kept_than_the_bound() -> None:
    async def story() -> None:
        destinations = Destinations()
        connections = []
        for number in range(MAX_KEPT + 2):
            hop = replace(HERE, port=number)
            await destinations.enter(hop)
            connections.append(fake())
            destinations.leave(hop, connections[-1], served=True)

        assert [closed(each) for each in connections] == [True, True] + [False] * MAX_KEPT

    play(story())


def test_whoever_needs_a_descriptor_may_close_the_oldest() -> None:
    async def story() -> None:
        destinations = Destinations()
        assert not destinations.close_oldest()
        for hop in (HERE, THERE):
            await destinations.enter(hop)
        old, new = fake(), fake()
        destinations.leave(THERE, old, served=True)
        destinations.leave(HERE, new, served=True)

        assert destinations.close_oldest()
        assert (closed(old), closed(new)) == (True, False)
        destinations.close_all()
        assert closed(new)

    play(story())


def test_one_place_does_not_wait_for_another() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await destinations.enter(HERE)

        assert await destinations.enter(THERE) is None

    play(story())


def test_who_has_given_up_gets_nothing() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        second, third = await waiting(destinations), await waiting(destinations)
        second.cancel()
        await asyncio.sleep(0)
        destinations.leave(HERE, None, served=False)

        assert await third is None

    play(story())


def test_all_who_wait_hear_that_a_place_does_not_answer() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        tasks = [await waiting(destinations) for _ in range(3)]
        destinations.tell_the_waiting(HERE)
        destinations.leave(HERE, None, served=False)

        heard = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in heard] == [Unanswered] * 3
        assert await destinations.enter(HERE) is None

    play(story())


def test_nobody_asks_for_a_while_where_somebody_has_asked_for_long() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        second = await waiting(destinations)
        destinations.be_silent(HERE)
        destinations.leave(HERE, None, served=False)

        with pytest.raises(Unanswered):
            await second
        await asyncio.sleep(SILENCE - 1)
        for hop in (HERE, DEMANDING):
            with pytest.raises(Unanswered):
                await destinations.enter(hop)
        await asyncio.sleep(1)
        assert await destinations.enter(HERE) is None

    play(story())


def test_nobody_waits_for_a_place_where_nothing_moves() -> None:
    async def story() -> None:
        destinations = Destinations(2)
        for _ in range(2):
            await destinations.enter(HERE)
        second = await waiting(destinations)
        await asyncio.sleep(STUCK - 1)
        assert not second.done()
        await asyncio.sleep(2)

        with pytest.raises(Unanswered):
            await second
        with pytest.raises(Unanswered):
            await destinations.enter(HERE)

    play(story())


def test_whoever_waits_for_a_place_that_works_waits_on() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        tasks = [await waiting(destinations) for _ in range(3)]
        for task in tasks:
            await asyncio.sleep(STUCK - 1)
            connection = fake()
            destinations.leave(HERE, connection, served=True)
            assert await task is connection

    play(story())


def test_a_place_without_connections_is_forgotten() -> None:
    async def story() -> None:
        destinations = Destinations(1)
        await destinations.enter(HERE)
        destinations.be_silent(HERE)
        destinations.leave(HERE, None, served=False)
        await destinations.enter(THERE)
        destinations.leave(THERE, fake(), served=True)
        assert len(destinations._shares) == 2  # noqa: SLF001  what it remembers cannot be seen

        await asyncio.sleep(SILENCE + 1)

        assert destinations._shares == {}  # noqa: SLF001

    play(story())
