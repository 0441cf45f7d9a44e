from __future__ import annotations

import pytest

from pyqmail.send.shares import WASTE, Shares, destination_of, shares_of

FAR, OTHER = b"far.example", b"other.example"


def room_for(shares: Shares, destination: bytes) -> int:
    """Take all the room there is; return how much it was."""
    room = 0
    while shares.has_room(destination):
        shares.enter(destination)
        room += 1
    return room


@pytest.mark.parametrize(
    ("slots", "first", "most"),
    [(1, 1, 1), (2, 2, 2), (4, 4, 4), (5, 4, 4), (20, 5, 16), (500, 125, 400)],
)
def test_a_destination_begins_with_a_quarter_and_of_many_slots_never_has_all(
    slots: int, first: int, most: int
) -> None:
    assert room_for(shares_of(slots), FAR) == first
    shares = shares_of(slots)
    for _ in range(slots):
        shares.learn(FAR, 0, answered=True)
    assert room_for(shares, FAR) == most


def test_what_one_destination_has_is_no_business_of_another() -> None:
    shares = Shares(2, 2)

    assert room_for(shares, FAR) == room_for(shares, OTHER) == 2


@pytest.mark.parametrize(("wasted", "left"), [(1, 4), (2, 2), (3, 1), (9, 1)])
def test_who_keeps_deliveries_waiting_for_nothing_loses_half_but_never_all(
    wasted: int, left: int
) -> None:
    shares = Shares(8, 8)

    for _ in range(wasted):
        shares.learn(FAR, WASTE + 1, answered=False)

    assert room_for(shares, FAR) == left


def test_who_says_at_once_that_it_is_too_early_loses_nothing() -> None:
    shares = Shares(8, 8)

    shares.learn(FAR, WASTE, answered=False)

    assert room_for(shares, FAR) == 8


def test_the_first_in_line_is_invited_and_the_room_kept_for_it() -> None:
    shares = Shares(1, 1)
    shares.enter(FAR)
    for number in (7, 8):
        shares.stand(number, FAR)
    assert shares.invite(FAR) is None

    shares.leave(FAR)

    assert shares.invite(FAR) == 7
    assert not shares.has_room(FAR)
    assert shares.take_invitation(7) == FAR
    assert shares.has_room(FAR)
    assert shares.waiting() == [8]


def test_who_steps_out_is_not_invited() -> None:
    shares = Shares(1, 1)
    shares.stand(7, FAR)
    shares.step_out(7)

    assert shares.invite(FAR) is None
    assert not shares.stands(7)


def test_a_destination_without_deliveries_is_forgotten() -> None:
    shares = Shares(4, 8)
    shares.enter(FAR)
    shares.learn(FAR, WASTE + 1, answered=False)

    shares.leave(FAR)

    assert room_for(shares, FAR) == 4


def test_a_share_is_kept_while_somebody_stands_in_line() -> None:
    shares = Shares(4, 8)
    shares.enter(FAR)
    shares.stand(7, FAR)
    shares.learn(FAR, WASTE + 1, answered=False)

    shares.leave(FAR)

    assert room_for(shares, FAR) == 2


def test_a_destination_is_the_domain_in_small_letters() -> None:
    assert destination_of(b'"a@b"@Far.Example') == FAR
