from __future__ import annotations

import pytest

from pyqmail.ucspi.tally import Numbers, Tally


@pytest.mark.parametrize(("limit", "workers"), [(40, 1), (40, 3), (2, 5), (1, 1), (7, 7)])
def test_the_shares_make_the_limit(limit: int, workers: int) -> None:
    tally = Tally(limit, workers)
    shares = [tally.share(index) for index in range(tally.workers)]

    for share in shares:
        while share.has_room():
            share.add(1)

    assert shares[0].total() == limit
    assert tally.workers <= workers


def test_a_new_worker_begins_with_no_connections() -> None:
    tally = Tally(10, 2)
    first, second = tally.share(0), tally.share(1)
    first.add(3)
    second.add(1)

    tally.share(0)

    assert second.total() == 1


def test_who_relieves_a_worker_does_not_take_over_its_connections() -> None:
    tally = Tally(10, 2)
    first = tally.share(0)
    first.add(3)

    relief = tally.share(0, relief=True)
    relief.add(1)
    first.add(-1)

    assert relief.total() == 3
    tally.share(0)
    assert relief.total() == 1


def test_workers_give_different_numbers() -> None:
    tally = Tally(10, 3)
    numbers = [Numbers(1000 + index, tally.share(index)) for index in range(3)]

    given = [each.next() for each in numbers for _ in range(50)]

    assert len(set(given)) == len(given)
    assert min(given) > 990
