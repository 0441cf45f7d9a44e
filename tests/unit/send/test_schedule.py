from __future__ import annotations

from itertools import pairwise

import pytest

from pyqmail.send.schedule import Agenda, is_dying, next_attempt

BIRTH = 1_000_000


@pytest.mark.parametrize(
    ("channel", "ages"),
    [("local", [0, 100, 400, 900, 1600, 2500]), ("remote", [0, 400, 1600, 3600, 6400, 10000])],
)
def test_attempts_lie_on_the_squares_of_the_manual(channel: str, ages: list[int]) -> None:
    for age, following in pairwise(ages):
        assert next_attempt(BIRTH, BIRTH + age, channel) == BIRTH + following


@pytest.mark.parametrize(("channel", "attempts"), [("local", 79), ("remote", 40)])
def test_a_week_has_as_many_attempts_as_the_manual_says(channel: str, attempts: int) -> None:
    time, count = BIRTH, 1
    while not is_dying(BIRTH, time, 604800):
        time = next_attempt(BIRTH, time, channel)
        count += 1

    assert count == attempts
    assert time - BIRTH == 608400


def test_a_message_from_the_future_is_as_old_as_a_new_one() -> None:
    assert next_attempt(BIRTH, BIRTH - 5000, "local") == BIRTH + 100


def test_a_message_older_than_136_years_is_tried_all_the_same() -> None:
    assert next_attempt(0, 2**33, "remote") == (65535 + 20) ** 2


@pytest.mark.parametrize(("age", "dying"), [(0, False), (604800, False), (604801, True)])
def test_only_an_attempt_after_the_lifetime_is_the_last(age: int, *, dying: bool) -> None:
    assert is_dying(BIRTH, BIRTH + age, 604800) is dying


def test_numbers_come_out_when_they_are_due_the_earliest_first() -> None:
    agenda = Agenda()
    for number, time in ((1, 30), (2, 10), (3, 20)):
        agenda.put(number, time)

    assert agenda.first_time() == 10
    assert [agenda.take_due(25) for _ in range(3)] == [2, 3, None]
    assert len(agenda) == 1


def test_a_number_that_is_put_again_is_moved() -> None:
    agenda = Agenda()
    agenda.put(1, 10)
    agenda.put(1, 50)

    assert agenda.take_due(20) is None
    assert agenda.take_due(50) == 1
    assert agenda.take_due(50) is None


def test_a_discarded_number_never_comes_out() -> None:
    agenda = Agenda()
    agenda.put(1, 10)
    agenda.discard(1)
    agenda.discard(2)

    assert agenda.first_time() is None
    assert 1 not in agenda


def test_everything_can_be_made_due_at_once() -> None:
    agenda = Agenda()
    for number in range(5):
        agenda.put(number, 1000 + number)

    agenda.make_all_due(3)

    assert {agenda.take_due(3) for _ in range(5)} == set(range(5))
