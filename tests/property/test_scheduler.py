"""The core of qmail-send under a simulated clock: nothing is ever lost."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.simulated_queue import ROUTING, World

from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.queue.store import CHANNELS
from pyqmail.send import events
from pyqmail.send.routing import Routing
from pyqmail.send.schedule import DELAY_NOTICE

ALL_LOCAL = Routing(ConstantMap([b"here", b"far"]), ColonMap([]), ConstantMap([]), b"here")


def paths(chance: random.Random, how_many: int) -> list[bytes]:
    domains = [b"here", b"here", b"far", b"far", b"slow", b"other"]
    return [b"r%d@%b" % (n, chance.choice(domains)) for n in range(how_many)]


def disturb(world: World, chance: random.Random) -> None:
    """Do one of the things that can happen to a qmail-send, and let some time pass."""
    what = chance.choice(
        [
            *("inject", "inject", "inject", "big", "crash", "crash at a step", "power cut"),
            *("TERM", "ALRM", "HUP", "lost spawner"),
        ]
    )
    if what == "inject":
        notices = chance.choice([frozenset[bytes](), frozenset({b"SUCCESS", b"DELAY"})])
        world.inject(*paths(chance, chance.randrange(5)), notices=notices)
    elif what == "big":
        world.inject(*paths(chance, chance.randrange(90, 350)))
    elif what == "crash":
        world.crash()
    elif what == "crash at a step":
        world.steps_to_live = chance.randrange(12)
    elif what == "power cut":
        world.cut_power()
    elif what == "TERM":
        end_and_start(world, events.ExitRequested())
    elif what == "ALRM":
        world.tell(events.RetryRequested())
    elif what == "HUP":
        world.routing = chance.choice([ROUTING, ALL_LOCAL])
        world.tell(events.RoutingChanged(world.routing))
    else:
        end_and_start(world, events.SpawnerLost(chance.choice(CHANNELS)))
    world.run(chance.choice([0, 0.003, 0.02, 0.5, 5, 500]))


def end_and_start(world: World, reason: events.Event) -> None:
    before = world.crashes
    world.tell(reason)
    world.run(100)
    # A crash that was due may have come first; then it runs again already.
    assert world.exited or world.crashes > before
    if world.exited:
        world.start()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), trouble=st.sampled_from([0.0, 0.05, 0.3]))
def test_no_recipient_is_lost_whatever_happens(seed: int, trouble: float) -> None:
    chance = random.Random(seed)
    world = World(seed, trouble=trouble, letters=b"KKZDx", bounces_are_mail=True)
    world.delays = {b"slow": 20}

    for _ in range(20):
        disturb(world, chance)

        assert world.lost_recipients() == []


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_queue_is_empty_in_the_end(seed: int) -> None:
    chance = random.Random(seed)
    world = World(seed, trouble=0.2, letters=b"KZD", bounces_are_mail=True)
    world.delays = {b"slow": 20}
    for _ in range(15):
        disturb(world, chance)

    world.trouble = 0
    world.steps_to_live = None
    world.run(30 * 86400)

    assert world.lost_recipients() == []
    assert world.disk == {}
    assert world.core.messages == {}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_who_asked_to_hear_of_success_hears_of_each_whatever_happens(seed: int) -> None:
    chance = random.Random(seed)
    world = World(seed, trouble=0.1, letters=b"KKKZ")
    wanted = frozenset({b"SUCCESS"})
    injected = set()
    for _ in range(15):
        number = world.inject(*paths(chance, chance.choice([0, 1, 3, 120])), notices=wanted)
        injected.add(world.disk[number].identity)
        what = chance.choice([world.crash, world.cut_power, None])
        world.run(chance.choice([0, 0.003, 0.02, 0.5, 5, 500]))
        if what is not None:
            what()

    world.run(15 * 86400)

    for identity, delivered in world.delivered.items():
        told = {recipient for _, recipient in world.told.get(identity, ())}
        assert told == (set(delivered) if identity in injected else set())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), slots=st.sampled_from([3, 20]))
def test_without_trouble_delay_is_told_once_and_only_of_the_late(seed: int, slots: int) -> None:
    chance = random.Random(seed)
    world = World(seed, letters=b"ZZZZZZZZZK", slots=slots)
    world.delays = {b"slow": 20}
    # Not both: who ends qmail-send right after ALRM makes it forget when the next time was.
    restarts = chance.random() < 0.5
    for _ in range(10):
        world.inject(*paths(chance, chance.choice([1, 3, 120])), notices=frozenset({b"DELAY"}))
        world.run(chance.choice([0.02, 500, 5000]))
        if restarts:
            end_and_start(world, events.ExitRequested())
        else:
            world.tell(events.RetryRequested())

    world.run(8 * 86400)

    late = {path for moment, path in world.started if moment > 1_000_000 + DELAY_NOTICE}
    for told in world.told.values():
        assert len(told) == len(set(told))
        assert {what for what, _ in told} == {b"delayed"}
        assert {recipient for _, recipient in told} <= late


@pytest.mark.parametrize("letters", [b"K", b"D", b"Z"])
def test_a_crash_at_any_step_of_a_life_loses_nobody(letters: bytes) -> None:
    for step in itertools.count():
        world = World(step, letters=letters, lifetime=3000, bounces_are_mail=True)
        world.inject(b"a@here", b"b@far", b"c@here")
        world.steps_to_live = step
        world.run(86400)

        assert world.lost_recipients() == []
        assert world.disk == {}
        if not world.crashes:
            break

    assert step >= {b"K": 1, b"D": 3, b"Z": 15}[letters]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_without_trouble_and_crashes_everybody_gets_one_copy(seed: int) -> None:
    chance = random.Random(seed)
    world = World(seed, letters=b"KKZ")
    world.delays = {b"slow": 20}
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


@settings(max_examples=40, deadline=None)
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
