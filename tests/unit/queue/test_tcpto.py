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


def test_an_ipv6_host_is_described_by_its_address() -> None:
    line = describe(SlowHost(b"\x20\1\x0d\xb8" + bytes(11) + b"\1", 2, 1000), 1060)

    assert line == b"2001:db8::1 timed out 60 seconds ago; # recent timeouts: 2\n"


def test_the_hosts_of_both_tables_are_read() -> None:
    six = b"\x20\1\x0d\xb8" + bytes(12)
    data = record(b"\xc0\0\2\1", 2, 1000).ljust(1024, b"\0") + record(six, 3, 1001) + b"half"

    assert list(parse_table(data)) == [SlowHost(b"\xc0\0\2\1", 2, 1000), SlowHost(six, 3, 1001)]


@pytest.mark.parametrize(("now", "age"), [(1060, b"60"), (999, b"18446744073709551615")])
def test_a_host_is_described_as_the_original_does(now: int, age: bytes) -> None:
    line = describe(SlowHost(b"\xc0\0\2\xff", 10, 1000), now)

    assert line == b"192.0.2.255 timed out %b seconds ago; # recent timeouts: 10\n" % age


def test_a_cleared_table_has_no_hosts_and_its_size(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    table = tmp_path / "queue/lock/tcpto"
    hosts = record(b"\xc0\0\2\1", 2, 1000) * 64 + record(b"\1" * 16, 2, 1000)
    table.write_bytes(hosts)
    before = len(read_table(home))

    clear_table(home)

    assert (before, read_table(home), table.stat().st_size) == (65, [], 1024)


def test_a_missing_table_says_so(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    (tmp_path / "queue/lock/tcpto").unlink()

    with pytest.raises(TransientFailure) as failure:
        read_table(home)
    assert failure.value.text == b"unable to open tcpto: file does not exist"
    with pytest.raises(TransientFailure) as failure:
        read_table(str(tmp_path / "nowhere"))
    assert failure.value.text == b"unable to chdir: file does not exist"
