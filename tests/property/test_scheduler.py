"""The core of qmail-send under a simulated clock: nothing is ever lost."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.simulated_queue import ROUTING, World

from pyqmail.send import events


def paths(chance: random.Random, how_many: int) -> list[bytes]:
    return [b"r%d@%b" % (n, chance.choice([b"here", b"far"])) for n in range(how_many)]


def disturb(world: World, chance: random.Random) -> None:
    what = chance.choice(["inject", "inject", "inject", "big", "crash", "term", "alrm", "hup"])
    if what == "inject":
        world.inject(*paths(chance, chance.randrange(5)))
    elif what == "big":
        world.inject(*paths(chance, chance.randrange(90, 350)))
    elif what == "crash":
        world.crash()
    elif what == "term":
        world.tell(events.ExitRequested())
        world.run(100)
        assert world.exited
        world.start()
    elif what == "alrm":
        world.tell(events.RetryRequested())
    else:
        world.tell(events.RoutingChanged(ROUTING))
    world.run(chance.choice([0, 0.003, 0.02, 0.5, 5, 500]))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), trouble=st.sampled_from([0.0, 0.05, 0.3]))
def test_no_recipient_is_lost_whatever_happens(seed: int, trouble: float) -> None:
    chance = random.Random(seed)
    world = World(seed, trouble=trouble, letters=b"KKZDx")

    for _ in range(20):
        disturb(world, chance)

        assert world.lost_recipients() == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_queue_is_empty_in_the_end(seed: int) -> None:
    chance = random.Random(seed)
    world = World(seed, trouble=0.2, letters=b"KZD")
    for _ in range(15):
        disturb(world, chance)

    world.trouble = 0
    world.run(15 * 86400)

    assert world.lost_recipients() == []
    assert world.disk == {}
    assert world.core.messages == {}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_without_trouble_and_crashes_everybody_gets_one_copy(seed: int) -> None:
    chance = random.Random(seed)
    world = World(seed, letters=b"KKZ")
    for _ in range(15):
        world.inject(*paths(chance, chance.choice([0, 1, 3, 150])))
        world.run(chance.choice([0, 0.01, 2, 300]))
        if chance.random() < 0.3:
            world.tell(events.ExitRequested())
            world.run(100)
            world.start()

    world.run(15 * 86400)

    delivered = {identity: sorted(paths) for identity, paths in world.delivered.items()}
    bounced = world.bounced
    for identity, accepted in world.accepted.items():
        if identity not in bounced:
            assert delivered.get(identity, []) == sorted(accepted)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_log_of_a_message_has_its_lines_in_order(seed: int) -> None:
    chance = random.Random(seed)
    world = World(seed, letters=b"KKKD")
    numbers = [world.inject(*paths(chance, chance.randrange(1, 4))) for _ in range(8)]

    world.run(3600)

    for number in numbers:
        lines = [line for line in world.log if b"msg %d" % number in line.partition(b":")[0] + line]
        mine = [line for line in lines if b"msg %d" % number in line]
        mine = [
            line
            for line in mine
            if (line + b" ").find(b"msg %d " % number) >= 0 or b"msg %d:" % number in line
        ]
        assert mine[0] == b"new msg %d" % number
        assert mine[1].startswith(b"info msg %d: bytes " % number)
        assert mine[-1] == b"end msg %d" % number
        bounce = [n for n, line in enumerate(mine) if line.startswith(b"bounce msg")]
        assert bounce in ([], [len(mine) - 2])
