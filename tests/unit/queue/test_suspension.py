from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import make_home

from pyqmail.queue.suspension import (
    Suspension,
    after_success,
    after_timeout,
    suspended_until,
)
from pyqmail.queue.tcpto import SlowHost, read_table

if TYPE_CHECKING:
    from pathlib import Path

HOST, OTHER = b"\xc0\0\2\1", b"\xc0\0\2\2"
SIX = b"\x20\1\x0d\xb8" + bytes(11) + b"\1"
NOW = 1_700_000_000


def record(address: bytes, timeouts: int, last: int) -> bytes:
    return address + struct.pack("<B3xI4x", timeouts, last)


def test_two_timeouts_suspend_for_more_than_an_hour() -> None:
    once, twice = record(HOST, 1, NOW), record(HOST, 2, NOW)

    assert suspended_until(once, HOST, 0) == 0
    assert suspended_until(twice, HOST, 0) == NOW + 3840
    assert suspended_until(twice, HOST, 31) == NOW + 5824
    assert suspended_until(twice, HOST, 32) == NOW + 3840
    assert suspended_until(twice, OTHER, 0) is None


@pytest.mark.parametrize(
    ("timeouts", "age", "after"),
    [(0, 0, 1), (1, 119, None), (1, 120, 2), (2, 119, None), (10, 999, 10)],
)
def test_timeouts_close_together_are_one(timeouts: int, age: int, after: int | None) -> None:
    table = record(OTHER, 3, NOW) + record(HOST, timeouts, NOW - age)

    change = after_timeout(table, HOST, NOW)

    assert change == (None if after is None else (16, record(HOST, after, NOW)))


def test_a_new_host_takes_a_free_record() -> None:
    table = record(OTHER, 1, NOW) + record(OTHER, 0, NOW) + record(b"\0\0\0\0", 0, 0)

    assert after_timeout(table, HOST, NOW) == (16, record(HOST, 1, NOW))


def test_in_a_full_table_the_oldest_and_least_troublesome_makes_room() -> None:
    table = record(b"aaaa", 5, 5000) + record(b"bbbb", 1, 6000) + record(b"cccc", 1, 6001)

    assert after_timeout(table, HOST, NOW) == (16, record(HOST, 1, NOW))


def test_a_host_that_answers_is_free_again() -> None:
    table = record(OTHER, 3, NOW) + record(HOST, 3, NOW)

    assert after_success(table, HOST) == (16, record(HOST, 0, NOW))
    assert after_success(record(OTHER, 3, NOW), HOST) is None


@pytest.mark.parametrize("table", [b"", b"short"])
def test_a_table_that_is_too_short_remembers_nobody(table: bytes) -> None:
    assert suspended_until(table, HOST, 0) is None
    assert after_timeout(table, HOST, NOW) is None


def test_the_file_is_what_qmail_tcpto_shows(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    suspension = Suspension(home, 0)

    suspension.note_timeout(HOST, NOW)
    first = suspension.is_suspended(HOST, NOW + 1)
    suspension.note_timeout(HOST, NOW + 200)

    assert (first, suspension.is_suspended(HOST, NOW + 201)) == (False, True)
    assert not suspension.is_suspended(HOST, NOW + 200 + 3840)
    assert read_table(home) == [SlowHost(HOST, 2, NOW + 200)]
    suspension.note_success(HOST)
    assert read_table(home) == []


def test_without_a_table_everybody_is_tried(tmp_path: Path) -> None:
    suspension = Suspension(str(tmp_path), 0)

    suspension.note_timeout(HOST, NOW)
    suspension.note_success(HOST)

    assert not suspension.is_suspended(HOST, NOW)


def test_ipv6_hosts_are_remembered_behind_what_the_original_reads(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    file = tmp_path / "queue/lock/tcpto"
    suspension = Suspension(home, 0)
    suspension.note_timeout(HOST, NOW)
    before = file.read_bytes()

    for when in (NOW, NOW + 200):
        suspension.note_timeout(SIX, when)

    assert file.read_bytes()[:1024] == before
    assert suspension.is_suspended(SIX, NOW + 201)
    assert not suspension.is_suspended(SIX[:15] + b"\2", NOW + 201)
    assert not suspension.is_suspended(SIX, NOW + 200 + 3840)
    assert read_table(home) == [SlowHost(HOST, 1, NOW), SlowHost(SIX, 2, NOW + 200)]
    suspension.note_success(SIX)
    assert read_table(home) == [SlowHost(HOST, 1, NOW)]


def test_ipv6_hosts_have_64_records(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    suspension = Suspension(home, 0)

    for number in range(65):
        suspension.note_timeout(SIX[:15] + bytes([number]), NOW + number)

    hosts = read_table(home)
    assert len(hosts) == 64
    assert {host.address[-1] for host in hosts} == set(range(1, 65))
    assert (tmp_path / "queue/lock/tcpto").stat().st_size == 1024 + 1792


def test_the_table_keeps_its_size_while_ipv6_hosts_answer(tmp_path: Path) -> None:
    suspension = Suspension(make_home(str(tmp_path)), 0)

    suspension.note_success(SIX)

    assert not suspension.is_suspended(SIX, NOW)
    assert (tmp_path / "queue/lock/tcpto").stat().st_size == 1024


def test_a_table_that_is_too_short_remembers_no_ipv6_host(tmp_path: Path) -> None:
    suspension = Suspension(make_home(str(tmp_path)), 0)
    (tmp_path / "queue/lock/tcpto").write_bytes(bytes(16))

    suspension.note_timeout(SIX, NOW)

    assert (tmp_path / "queue/lock/tcpto").read_bytes() == bytes(16)
