from __future__ import annotations

import pytest

from pyqmail.control.maps import ColonMap, ConstantMap


def test_keys_match_without_regard_to_ascii_case() -> None:
    hosts = ConstantMap([b"Example.ORG"])
    table = ColonMap([b"Example.ORG:Value"])

    assert b"eXample.org" in hosts
    assert table.get(b"eXample.org") == b"Value"
    assert "É".encode() not in ConstantMap(["é".encode()])


def test_a_key_is_whole() -> None:
    hosts = ConstantMap([b"example.org"])

    assert b"example.or" not in hosts
    assert b"example.org." not in hosts
    assert b"" not in hosts


def test_of_several_lines_with_one_key_the_last_counts() -> None:
    assert ColonMap([b"a:1", b"A:2", b"b:3"]).get(b"a") == b"2"


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        (b"a:b", b"a", b"b"),
        (b"a:b:c", b"a", b"b:c"),
        (b":relay", b"", b"relay"),
        (b"a:", b"a", b""),
        (b"u@a:b", b"u@a", b"b"),
    ],
)
def test_a_key_ends_at_the_first_colon(line: bytes, key: bytes, value: bytes) -> None:
    table = ColonMap([line])

    assert table.get(key) == value
    assert key in table


def test_a_line_without_colon_does_not_count() -> None:
    table = ColonMap([b"a", b""])

    assert len(table) == 0
    assert table.get(b"a") is None
    assert b"a" not in table


def test_a_map_knows_its_size() -> None:
    assert len(ConstantMap([b"a", b"A", b"b"])) == 2
    assert len(ColonMap([b"a:1", b"A:2", b"b:3"])) == 2
