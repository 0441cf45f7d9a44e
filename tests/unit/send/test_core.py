"""Cases of the scheduler that a random walk meets seldom, or does not judge."""

from __future__ import annotations

import pytest
from tests.support.simulated_queue import World

from pyqmail.send import events, log
from pyqmail.send.core import GRACE


def lines_of(world: World, number: int) -> list[bytes]:
    name = b"msg %d" % number
    return [line for line in world.log if name in line]


def test_a_message_that_is_finished_at_once_is_never_settled() -> None:
    world = World(letters=b"KD")
    for number in range(20):
        world.inject(b"a%d@here" % number, b"b%d@far" % number)
        world.run(1)

    world.run(60)

    assert world.settles == 0
    assert world.disk == {}


def test_one_deferral_settles_a_message_and_keeps_what_is_done() -> None:
    world = World(letters=b"Z")
    world.inject(b"a@here")
    world.run(0.5)

    assert world.settles == 1
    (stored,) = world.disk.values()
    assert [recipient.done for recipient in stored.recipients] == [False]


def test_a_first_pass_that_lasts_is_settled() -> None:
    world = World()
    world.report_delay = 30
    world.inject(b"a@here")

    world.run(1.5)

    assert world.settles == 1
    world.run(60)
    assert world.disk == {}


def test_a_message_with_more_than_100_recipients_is_settled_before_its_first_delivery() -> None:
    world = World()
    world.inject(*[b"r%d@here" % number for number in range(101)])

    world.run(0.05)

    assert world.settles == 1
    world.run(3600)
    assert world.disk == {}
    assert len(world.delivered[1]) == 101


def test_a_message_without_recipients_ends_at_once() -> None:
    world = World()
    number = world.inject()

    world.run(1)

    assert lines_of(world, number)[-1] == log.end(number)
    assert world.disk == {}


def test_a_window_is_all_that_is_kept_of_a_huge_list() -> None:
    world = World(slots=5)
    world.inject(*[b"r%d@here" % number for number in range(20_000)])
    world.run(1)

    message = next(iter(world.core.messages.values()))
    waiting = sum(len(pass_.waiting) for pass_ in message.passes.values())

    assert waiting <= 200
    assert message.items == []


def test_a_huge_list_shares_the_slots_with_others() -> None:
    world = World(slots=2)
    world.inject(*[b"r%d@here" % number for number in range(5000)])
    world.run(1)
    started = len(world.started)

    world.inject(b"aku@here")
    world.run(2)

    later = [path for _, path in world.started[started:]]
    assert later.index(b"aku@here") < 20


def test_the_bounce_is_announced_after_the_message_it_is_about() -> None:
    for seed in range(50):
        world = World(seed, letters=b"D")
        first = world.inject(b"nobody@here")
        world.run(0.0005)
        while not world.bounced:
            world.run(0.001)
        second = world.inject(b"s@far", reverse_path=b"")
        world.run(5)

        announced = max(n for n, line in enumerate(world.log) if line == log.new_message(second))
        assert world.log.index(log.end(first)) < announced


def test_a_deferral_of_a_dying_message_is_a_failure() -> None:
    world = World(letters=b"Z", lifetime=1000)
    world.inject(b"a@here")

    world.run(2000)

    assert any(b"I'm_not_going_to_try_again" in line for line in world.log)
    assert list(world.bounced) == [1]


def test_a_month_of_retries_ends_as_the_manual_says() -> None:
    world = World(letters=b"Z")
    world.inject(b"a@here")
    world.inject(b"b@far")

    world.run(30 * 86400)

    attempts = [path for _, path in world.started]
    assert (attempts.count(b"a@here"), attempts.count(b"b@far")) == (79, 40)
    assert world.disk == {}


def test_alrm_makes_everything_due() -> None:
    world = World(letters=b"Z")
    for number in range(5):
        world.inject(b"r%d@here" % number)
    world.run(5)
    world.letters = b"K"

    world.tell(events.RetryRequested())
    world.run(5)

    assert world.disk == {}


def test_term_waits_no_longer_than_the_grace_for_a_hung_delivery() -> None:
    world = World()
    world.report_delay = 10_000_000
    world.inject(b"a@here", b"b@here")
    world.run(0.1)

    world.tell(events.ExitRequested())
    world.run(GRACE - 1)
    assert not world.exited
    world.run(2)

    assert world.exited
    assert world.log[-1] == log.EXITING
    assert all(not stored.is_new for stored in world.disk.values())


def test_a_lost_spawner_is_not_waited_for() -> None:
    world = World()
    world.report_delay = 10_000_000
    world.inject(b"a@here")
    world.run(0.1)

    world.tell(events.SpawnerLost("local"))
    world.run(1)

    assert world.exited
    assert log.SPAWNER_LOST in world.log


def test_the_clock_may_jump_back() -> None:
    world = World(letters=b"Z")
    world.inject(b"a@here")
    world.run(5)
    world.letters = b"K"

    world.now -= 10_000
    world.tell(events.RetryRequested())
    world.run(10_200)

    assert world.disk == {}


def test_a_clock_that_is_set_back_puts_off_no_look_for_new_messages() -> None:
    world = World()
    world.run(5)

    world.now -= 86400
    world.core.handle((), world.now)

    wake_at = world.core.wake_at()
    assert wake_at is not None
    assert wake_at <= world.now + 1500


def test_a_number_that_is_used_again_at_once_is_a_new_message() -> None:
    for seed in range(30):
        world = World(seed)
        for number in range(30):
            world.inject(b"r%d@here" % number)
            world.run(world.chance.random() * 0.05)

        world.run(60)

        assert world.disk == {}
        assert sorted(len(paths) for paths in world.delivered.values()) == [1] * 30


def test_status_lines_count_what_runs() -> None:
    world = World(slots=2)
    world.report_delay = 10_000
    for number in range(3):
        world.inject(b"r%d@here" % number)
    world.run(0.5)

    assert world.log[0] == b"status: local 0/2 remote 0/2"
    last = [line for line in world.log if line.startswith(b"status:")][-1]
    assert last == b"status: local 2/2 remote 0/2"


def test_a_bounce_and_a_disk_that_fail_together_do_not_make_it_spin() -> None:
    world = World(letters=b"D")
    world.inject(b"nobody@here")
    world.run(0.0001)  # it is in memory now
    while not world.started:
        world.run(0.001)
    world.trouble = 1.0

    world.run(3600)

    assert 3600 / 123 < len(world.log) < 200
    world.trouble = 0
    world.run(1000)
    assert list(world.bounced) == [1]
    assert world.disk == {}


def test_what_could_not_be_read_at_the_start_is_found_later() -> None:
    world = World(letters=b"Z")
    for number in range(10):
        world.inject(b"r%d@here" % number)
    world.run(5)
    world.trouble = 0.5
    world.crash()
    assert len(world.core.messages) < 10
    world.trouble = 0
    world.letters = b"K"

    world.run(3600)

    assert world.disk == {}
    assert len(world.delivered) == 10


def test_new_messages_that_cannot_be_listed_are_looked_for_again_soon() -> None:
    world = World()
    actions = world.core.handle([events.Arrived()], world.now)
    assert events.LookForNew not in map(type, actions), "one look is on its way already"
    world.run(1)

    world.core.handle([events.Listed((), trouble=b"unable to opendir todo")], world.now)

    wake_at = world.core.wake_at()
    assert wake_at is not None
    assert wake_at <= world.now + 10


def test_a_damaged_message_is_set_aside_with_an_alert_and_looked_at_again() -> None:
    world = World()
    world.inject(b"a@here")
    world.broken_envelopes = {1}
    world.run(10)
    alerts = [line for line in world.log if line.startswith(b"alert: msg 1 set aside")]
    assert len(alerts) == 1

    world.broken_envelopes = set()
    world.run(1600)

    assert world.disk == {}
    assert world.delivered == {1: [b"a@here"]}


def test_a_bounce_that_hangs_does_not_keep_it_from_ending() -> None:
    world = World(letters=b"D")
    world.bounces_hang = True
    world.inject(b"nobody@here")
    world.run(5)

    world.tell(events.ExitRequested())
    world.run(GRACE + 1)

    assert world.exited
    assert world.lost_recipients() == []


def wait_for(world: World, domain: bytes, messages: int) -> None:
    """Let so many messages for a domain that takes 300 seconds to say nothing wait."""
    world.delays[domain] = 300
    world.silent.add(domain)
    for number in range(messages):
        world.inject(b"r%d@%b" % (number, domain))
    world.run(10)


def started_for(world: World, domain: bytes) -> list[float]:
    return [when for when, path in world.started if path.endswith(b"@" + domain)]


@pytest.mark.parametrize("waiting", [0, 500])
def test_a_destination_that_does_not_answer_leaves_the_slots_to_others(waiting: int) -> None:
    world = World(slots=20)
    wait_for(world, b"dead", waiting)
    began = world.now

    for number in range(400):
        world.inject(b"r%d@far" % number)
    world.run(20)

    # Alone it takes at least 400 deliveries of 0.1 seconds in 16 slots: 2.5 seconds.
    assert len(started_for(world, b"far")) == 400
    assert max(started_for(world, b"far")) - began < 5
    assert len(started_for(world, b"dead")) == min(waiting, 5)


def test_one_who_asks_is_enough_for_a_destination_that_does_not_answer() -> None:
    world = World(slots=20)
    wait_for(world, b"dead", 100)

    world.run(3600)

    later = [when for when in started_for(world, b"dead") if when > 1_000_000 + 700]
    assert 5 <= len(later) <= 3600 / 300 + 1


def test_who_has_waited_for_a_destination_is_delivered_to_as_soon_as_it_answers() -> None:
    world = World(slots=20)
    wait_for(world, b"dead", 300)

    world.silent.clear()
    world.delays.clear()
    world.run(300 + 10)

    # The first five are retried on the schedule; nobody else has been tried yet.
    assert len(started_for(world, b"dead")) == 300
    world.run(1000)
    assert world.disk == {}


def test_what_waits_for_a_destination_takes_no_memory_but_its_number() -> None:
    world = World(slots=20)
    wait_for(world, b"dead", 2000)

    passes = [len(message.passes) for message in world.core.messages.values()]

    assert sum(passes) <= 5
    assert not any(message.items for message in world.core.messages.values())


def test_a_message_for_many_destinations_does_not_wait_for_one_of_them() -> None:
    world = World(slots=20)
    wait_for(world, b"dead", 50)

    world.inject(b"r@dead", *[b"r%d@far" % number for number in range(30)])
    world.run(10)

    assert len(started_for(world, b"far")) == 30


def test_what_was_deferred_is_not_brought_forward_by_room_for_others() -> None:
    world = World(slots=20)
    wait_for(world, b"dead", 50)
    world.silent.add(b"later")
    world.inject(b"r@dead", b"r@later")

    world.run(390)

    assert len(started_for(world, b"later")) == 1
    world.run(20)
    assert len(started_for(world, b"later")) == 2


def test_at_the_next_start_all_is_due_that_waited_for_a_destination() -> None:
    world = World(slots=20)
    wait_for(world, b"dead", 50)

    world.tell(events.ExitRequested())
    world.run(GRACE + 1)
    world.silent.clear()
    world.delays.clear()
    world.start()
    world.run(10)

    assert world.exited is False
    assert world.disk == {}
