from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.login.guesses import (
    HALF_LIFE,
    MAX_DELAY,
    MAX_OF_ADDRESS,
    MAX_OF_NAME,
    MIN_DELAY,
    Guesses,
)

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1.7e9
HERE = b"192.0.2.1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture
def guesses(folder: Path) -> Guesses:
    return Guesses(str(folder))


def fail(guesses: Guesses, times: int, address: bytes | None = HERE, name: bytes = b"joe") -> None:
    for _ in range(times):
        guesses.begin(address, name, NOW)


def from_everywhere(guesses: Guesses, times: int, name: bytes = b"joe") -> None:
    for number in range(times):
        guesses.begin(b"198.51.%d.%d" % divmod(number, 256), name, NOW)


def test_each_failure_costs_twice_the_last_up_to_a_limit(guesses: Guesses) -> None:
    delays = [guesses.begin(HERE, b"joe", NOW).delay for _ in range(7)]

    assert delays == [1, 2, 4, 8, 16, 16, 16]
    assert (delays[0], delays[-1]) == (MIN_DELAY, MAX_DELAY)


def test_an_address_that_fails_too_often_is_blocked_for_every_name(guesses: Guesses) -> None:
    for number in range(MAX_OF_ADDRESS):
        assert not guesses.begin(HERE, b"name%d" % number, NOW).blocked

    assert guesses.begin(HERE, b"another", NOW).blocked
    assert not guesses.begin(b"192.0.2.2", b"another", NOW).blocked


def test_a_name_that_many_guess_is_blocked_for_strangers(guesses: Guesses) -> None:
    from_everywhere(guesses, MAX_OF_NAME)

    assert guesses.begin(HERE, b"JOE", NOW).blocked
    assert not guesses.begin(HERE, b"ann", NOW).blocked


def test_who_has_logged_in_from_there_still_can(guesses: Guesses) -> None:
    guesses.befriend(HERE, b"joe", NOW)
    from_everywhere(guesses, 2 * MAX_OF_NAME)

    attempt = guesses.begin(HERE, b"joe", NOW)

    assert not attempt.blocked
    assert attempt.delay == MIN_DELAY


def test_a_friend_who_guesses_is_blocked_as_anybody(guesses: Guesses) -> None:
    guesses.befriend(HERE, b"joe", NOW)
    fail(guesses, MAX_OF_ADDRESS)

    assert guesses.begin(HERE, b"joe", NOW).blocked


def test_a_block_is_over_when_half_has_faded(guesses: Guesses) -> None:
    fail(guesses, 3 * MAX_OF_ADDRESS)

    assert guesses.begin(HERE, b"joe", NOW).blocked
    assert not guesses.begin(HERE, b"joe", NOW + HALF_LIFE).blocked


def test_an_attempt_that_was_right_does_not_wipe_out_the_wrong_ones(guesses: Guesses) -> None:
    fail(guesses, 3)
    guesses.begin(HERE, b"ann", NOW)
    guesses.withdraw(HERE, b"ann", NOW)

    assert guesses.begin(HERE, b"joe", NOW).delay == 8


def test_many_at_once_count_as_many(guesses: Guesses) -> None:
    begun = [guesses.begin(HERE, b"joe", NOW) for _ in range(100)]

    assert sum(not attempt.blocked for attempt in begun) == MAX_OF_ADDRESS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"2001:db8::1", b"2001:DB8:0:0:ffff::2"),
        (b"::ffff:192.0.2.1", b"192.0.2.1"),
        (b"who?", b"who?"),
    ],
)
def test_addresses_of_one_subscriber_are_one(guesses: Guesses, one: bytes, other: bytes) -> None:
    fail(guesses, 3, one)

    assert guesses.begin(other, b"ann", NOW).delay == 8


def test_without_an_address_only_names_count(guesses: Guesses) -> None:
    fail(guesses, 3, None)

    assert guesses.begin(None, b"joe", NOW).delay == 8
    assert guesses.begin(None, b"ann", NOW).delay == 1


def test_the_memory_has_a_fixed_size_and_the_worst_stay_in_it(folder: Path) -> None:
    guesses = Guesses(str(folder))
    fail(guesses, 10)
    size = (folder / "run" / "guesses").stat().st_size
    for number in range(3000):
        guesses.begin(None, b"name%d" % number, NOW)

    assert (folder / "run" / "guesses").stat().st_size == size < 400000
    assert guesses.begin(HERE, b"joe", NOW).delay == MAX_DELAY


def test_others_cannot_read_it(folder: Path) -> None:
    fail(Guesses(str(folder)), 1)

    assert (folder / "run" / "guesses").stat().st_mode & 0o077 == 0


def test_its_secret_stays_the_same(folder: Path) -> None:
    secret = Guesses(str(folder)).secret()

    assert secret is not None
    assert Guesses(str(folder)).secret() == secret


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"x", id="short"),
        pytest.param(b"guesses0" + bytes(500000), id="other format"),
        pytest.param(b"guesses1" + b"\xff" * 500000, id="nonsense"),
    ],
)
def test_a_damaged_file_keeps_nobody_out(folder: Path, damage: bytes) -> None:
    (folder / "run" / "guesses").write_bytes(damage)
    guesses = Guesses(str(folder))

    assert guesses.begin(HERE, b"joe", NOW).delay == MIN_DELAY
    assert guesses.begin(HERE, b"joe", NOW).delay == 2 * MIN_DELAY


def test_a_clock_that_was_set_back_keeps_nobody_out(guesses: Guesses) -> None:
    fail(guesses, MAX_OF_ADDRESS)

    assert not guesses.begin(HERE, b"joe", NOW - 1e6).blocked


def test_nothing_is_written_through_a_link(folder: Path) -> None:
    (folder / "victim").write_bytes(b"precious")
    os.symlink(folder / "victim", folder / "run" / "guesses")

    attempt = Guesses(str(folder)).begin(HERE, b"joe", NOW)

    assert attempt.delay == MIN_DELAY
    assert not attempt.blocked
    assert (folder / "victim").read_bytes() == b"precious"


def test_nothing_is_written_into_a_file_with_a_second_name(folder: Path) -> None:
    (folder / "victim").write_bytes(b"precious")
    os.link(folder / "victim", folder / "run" / "guesses")

    Guesses(str(folder)).begin(HERE, b"joe", NOW)

    assert (folder / "victim").read_bytes() == b"precious"


def test_without_a_place_for_it_nothing_is_remembered(tmp_path: Path) -> None:
    guesses = Guesses(str(tmp_path))
    fail(guesses, 100)

    assert guesses.begin(HERE, b"joe", NOW).delay == MIN_DELAY
    assert guesses.secret() is None
