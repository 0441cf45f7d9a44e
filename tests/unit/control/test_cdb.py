from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.control.cdb import Cdb, CdbError, encode_cdb, hash_of, write_cdb

if TYPE_CHECKING:
    from pathlib import Path


def number(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "little")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "cdb")


def test_what_is_written_is_found(path: str) -> None:
    write_cdb(path, [(b"one", b"1"), (b"", b"empty key"), (b"two", b"")])

    database = Cdb(path)

    assert database.get(b"one") == b"1"
    assert database.get(b"two") == b""
    assert database.get(b"") == b"empty key"
    assert database.get(b"three") is None


def test_of_two_records_with_one_key_the_first_is_found(path: str) -> None:
    records = [(b"key", b"first"), (b"key", b"second")]
    write_cdb(path, records)

    assert Cdb(path).get(b"key") == b"first"
    assert list(Cdb(path).records()) == records


def test_the_hash_is_that_of_the_format() -> None:
    assert hash_of(b"") == 5381
    assert hash_of(b"a") == (5381 * 33) ^ 97
    assert hash_of(b"\xff" * 100) < 2**32


def test_a_database_has_the_layout_of_the_format() -> None:
    data = encode_cdb([(b"a", b"xy")])

    table = (hash_of(b"a") & 255) * 8
    place = number(data, table)
    slot = place + (hash_of(b"a") >> 8) % 2 * 8
    assert data[2048:2059] == b"\1\0\0\0\2\0\0\0axy"
    assert (place, number(data, table + 4)) == (2059, 2)
    assert (number(data, slot), number(data, slot + 4)) == (hash_of(b"a"), 2048)
    assert len(data) == 2059 + 16
    assert number(data, 0) == (2059 if table else place)


def test_an_empty_database_is_a_header() -> None:
    data = encode_cdb([])

    assert len(data) == 2048
    assert data == b"\0\x08\0\0\0\0\0\0" * 256


def test_keys_whose_hashes_collide_are_all_found(path: str) -> None:
    # Whatever their bytes, keys of one table meet in its slots: 600 keys have 256 tables.
    records = [(b"%d" % i, b"data of %d" % i) for i in range(600)]
    write_cdb(path, records)
    database = Cdb(path)

    assert [database.get(key) for key, _ in records] == [data for _, data in records]


def test_a_reader_keeps_seeing_what_it_opened(path: str) -> None:
    write_cdb(path, [(b"key", b"old")])
    database = Cdb(path)

    write_cdb(path, [(b"key", b"new")])

    assert database.get(b"key") == b"old"
    assert Cdb(path).get(b"key") == b"new"
    assert os.listdir(os.path.dirname(path)) == ["cdb"]
    assert os.stat(path).st_mode & 0o7777 == 0o644


def test_an_absent_database_is_not_a_damaged_one(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        Cdb(path)


@pytest.mark.parametrize("data", [b"", b"rubbish", bytes(2047)])
def test_a_file_without_a_whole_header_is_damaged(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)

    with pytest.raises(CdbError, match="cdb: damaged database"):
        Cdb(path)


def test_a_folder_is_no_database(path: str) -> None:
    os.mkdir(path)

    with pytest.raises(CdbError, match="unable to read "):
        Cdb(path)


def test_a_record_that_says_it_is_longer_than_the_file_is_damaged(path: str) -> None:
    data = bytearray(encode_cdb([(b"key", b"data")]))
    data[2052:2056] = b"\xff\xff\xff\xff"
    with open(path, "wb") as file:
        file.write(data)

    with pytest.raises(CdbError):
        Cdb(path).get(b"key")
    with pytest.raises(CdbError):
        list(Cdb(path).records())


def test_damage_is_transient(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"x")

    with pytest.raises(CdbError) as caught:
        Cdb(path)

    assert caught.value.exit_code == 111


def test_a_database_that_was_closed_gives_its_memory_back(path: str) -> None:
    write_cdb(path, [(b"key", b"data")])
    database = Cdb(path)

    database.close()

    with pytest.raises(ValueError, match="closed"):
        database.get(b"key")
