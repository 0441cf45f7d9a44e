from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import make_home

from pyqmail.errors import TransientFailure
from pyqmail.queue.tcpto import SlowHost, clear_table, describe, parse_table, read_table

if TYPE_CHECKING:
    from pathlib import Path


def record(address: bytes, timeouts: int, last: int) -> bytes:
    return address + struct.pack("<B3xI4x", timeouts, last)


def test_free_records_are_no_hosts() -> None:
    data = record(b"\xc0\0\2\1", 2, 1000) + record(b"\xc0\0\2\2", 0, 1000) + b"half"

    assert list(parse_table(data)) == [SlowHost(b"\xc0\0\2\1", 2, 1000)]


@pytest.mark.parametrize(("now", "age"), [(1060, b"60"), (999, b"18446744073709551615")])
def test_a_host_is_described_as_the_original_does(now: int, age: bytes) -> None:
    line = describe(SlowHost(b"\xc0\0\2\xff", 10, 1000), now)

    assert line == b"192.0.2.255 timed out %b seconds ago; # recent timeouts: 10\n" % age


def test_a_cleared_table_has_no_hosts_and_its_size(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    table = tmp_path / "queue/lock/tcpto"
    table.write_bytes(record(b"\xc0\0\2\1", 2, 1000) * 64)
    before = len(read_table(home))

    clear_table(home)

    assert (before, read_table(home), table.stat().st_size) == (64, [], 1024)


def test_a_missing_table_says_so(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    (tmp_path / "queue/lock/tcpto").unlink()

    with pytest.raises(TransientFailure) as failure:
        read_table(home)
    assert failure.value.text == b"unable to open tcpto: file does not exist"
    with pytest.raises(TransientFailure) as failure:
        read_table(str(tmp_path / "nowhere"))
    assert failure.value.text == b"unable to chdir: file does not exist"
