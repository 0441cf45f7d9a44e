"""When the core tells senders of success and delay, and that it does so once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.simulated_queue import World

from pyqmail.send import deliveries, events, log
from pyqmail.send.core import GRACE
from pyqmail.send.schedule import DELAY_NOTICE

if TYPE_CHECKING:
    import pytest

BOTH = frozenset({b"SUCCESS", b"DELAY"})
LATE = 1_000_000 + DELAY_NOTICE  # for a message that comes as the world begins


def test_success_is_told_before_the_message_ends() -> None:
    world = World()
    number = world.inject(b"a@here", b"b@far", notices=BOTH)

    world.run(5)

    assert sorted(world.told[1]) == [(b"delivered", b"a@here"), (b"relayed", b"b@far")]
    assert world.log.index(b"notice") < world.log.index(log.end(number))
    assert world.settles == 0
    assert world.disk == {}


def test_nobody_is_told_who_did_not_ask() -> None:
    world = World(letters=b"KZ")
    world.inject(b"a@here", b"b@far")
    world.inject(b"c@here", notices=frozenset({b"DELAY"}))
    world.inject(b"d@here", notices=BOTH, reverse_path=b"")

    world.run(3600)

    assert world.told == {}


def test_success_of_a_huge_list_is_told_of_each() -> None:
    world = World(letters=b"KKKZ")
    paths = [b"r%d@here" % number for number in range(300)]
    world.inject(*paths, notices=BOTH)

    world.run(86400)

    assert sorted(world.told[1]) == sorted((b"delivered", path) for path in paths)


def test_delay_is_told_at_the_first_attempt_after_four_hours_and_never_again() -> None:
    world = World(letters=b"Z")
    world.inject(b"a@here", b"b@far", notices=BOTH)

    world.run(DELAY_NOTICE - 1)
    before = dict(world.told)
    world.run(1200)
    soon = list(world.told[1])
    world.tell(events.RetryRequested())
    world.run(6 * 86400)

    assert before == {}
    assert sorted(soon) == [(b"delayed", b"a@here"), (b"delayed", b"b@far")]
    assert world.told[1] == soon


def test_a_restart_does_not_tell_of_delay_again() -> None:
    world = World(letters=b"Z")
    world.inject(b"a@here", notices=BOTH)
    for _ in range(12):
        world.run(3600)
        world.tell(events.ExitRequested())
        world.run(GRACE)
        world.start()

    assert world.told[1] == [(b"delayed", b"a@here")]


def test_a_delay_notice_says_when_attempts_end() -> None:
    world = World(letters=b"Z", lifetime=50_000)
    world.inject(b"a@here", notices=BOTH)
    notices = []
    world.on_tell = notices.append

    world.run(20_000)

    (message,) = world.core.messages.values()
    assert [notice.retry_until for notice in notices] == [message.birth + 50_000]


def test_a_notice_that_cannot_be_queued_is_tried_again() -> None:
    world = World()
    world.notices_fail = True
    world.inject(b"a@here", notices=BOTH)
    world.run(300)
    assert world.disk != {}

    world.notices_fail = False
    world.run(300)

    assert world.told[1] == [(b"delivered", b"a@here")]
    assert world.delivered[1] == [b"a@here"]
    assert world.disk == {}


def test_at_exit_a_delivery_counts_though_its_notice_failed() -> None:
    world = World()
    world.notices_fail = True
    number = world.inject(b"a@here", notices=BOTH)
    world.run(5)

    world.tell(events.ExitRequested())
    world.run(5)

    assert world.exited
    assert log.not_told(number) in world.log
    world.start()
    world.run(3600)
    assert world.delivered[1] == [b"a@here"]
    assert world.disk == {}


def test_at_exit_a_notice_that_hangs_is_waited_for_no_longer_than_anything_else() -> None:
    world = World()
    world.notices_hang = True
    world.inject(b"a@here", notices=BOTH)
    world.run(5)

    world.tell(events.ExitRequested())
    world.run(GRACE - 1)
    assert not world.exited
    world.run(5)

    assert world.exited
    world.start()
    world.run(3600)
    assert world.delivered[1] == [b"a@here"]


def run_into_late_pass(world: World) -> None:
    """Let time pass until the first attempt that begins when a message is late."""
    while world.started[-1][0] < LATE:
        world.run(1)


def test_a_stop_in_the_middle_of_the_pass_that_tells_of_delay_tells_nobody_twice() -> None:
    world = World(letters=b"Z", slots=3)
    world.delays[b"here"] = 5
    paths = [b"r%d@here" % number for number in range(10)]
    world.inject(*paths, notices=BOTH)
    world.run(20)
    run_into_late_pass(world)

    world.run(7)
    world.tell(events.ExitRequested())
    world.run(GRACE)
    stopped, before = world.exited, dict(world.told)
    world.start()
    world.run(3600)
    soon = list(world.told[1])
    world.run(6 * 86400)

    assert stopped
    assert before == {}
    assert sorted(soon) == sorted((b"delayed", path) for path in paths)
    assert world.told[1] == soon


def test_a_stop_after_the_pass_that_tells_of_delay_waits_for_the_notices() -> None:
    world = World(letters=b"Z", slots=20)
    paths = [b"r%d@here" % number for number in range(10)]
    world.inject(*paths, notices=BOTH)
    world.on_tell = lambda _: world.tell(events.ExitRequested())
    world.run(DELAY_NOTICE + 1200)

    stopped = world.exited
    world.on_tell = lambda _: None
    world.start()
    world.run(6 * 86400)

    assert stopped
    assert sorted(world.told[1]) == sorted((b"delayed", path) for path in paths)


def test_a_pass_with_many_delays_does_not_keep_all_notices_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deliveries, "MAX_DELAYS", 4)
    world = World(letters=b"Z", slots=2)
    paths = [b"r%d@here" % number for number in range(10)]
    world.inject(*paths, notices=BOTH)
    world.run(20)
    attempts: list[int] = []
    world.on_tell = lambda _: attempts.append(len(world.started))
    run_into_late_pass(world)
    world.run(60)

    before = len([when for when, _ in world.started if when < LATE])
    assert attempts[0] < before + len(paths)
    assert sorted(world.told[1]) == sorted((b"delayed", path) for path in paths)


def test_who_only_waits_for_a_destination_is_told_of_delay_when_it_has_been_asked() -> None:
    world = World(letters=b"Z", slots=20)
    world.delays[b"dead"] = 300
    world.silent.add(b"dead")
    for number in range(60):
        world.inject(b"r%d@dead" % number, notices=frozenset({b"DELAY"}))
    world.run(5 * 3600)
    world.tell(events.ExitRequested())
    world.run(400)
    world.start()
    world.run(5 * 3600)

    asked = {path for when, path in world.started if when >= LATE}
    told = sorted(path for notices in world.told.values() for _, path in notices)
    assert len(asked) > 10
    # Whose answer is still awaited has not been told yet.
    assert len(told) == len(set(told))
    assert set(told) <= asked
    assert len(asked - set(told)) <= 5
