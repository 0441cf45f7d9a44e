"""Netstrings, and every way in which they can be wrong."""

from __future__ import annotations

import pytest

from pyqmail.protocol.netstring import (
    NetstringError,
    NetstringReader,
    NetstringTooLong,
    encode_netstring,
)


def read_string(wire: bytes) -> bytes | None:
    """Return the string of one netstring; None if more bytes are needed."""
    reader = NetstringReader()
    reader.feed(wire)

    def one() -> object:
        length = yield from reader.length()
        data = yield from reader.string(length)
        yield from reader.comma()
        return data

    try:
        next(one())  # type: ignore[call-overload]
    except StopIteration as end:
        return end.value
    return None


@pytest.mark.parametrize("data", [b"", b"hello", b"\0\r\n:,", b"x" * 1000])
def test_what_is_encoded_is_read_again(data: bytes) -> None:
    assert read_string(encode_netstring(data)) == data


def test_a_string_is_not_there_before_its_comma() -> None:
    assert read_string(b"5:hello") is None
    assert read_string(b"5:hello,") == b"hello"


@pytest.mark.parametrize("wire", [b"00005:hello,", b"0" * 5000 + b"5:hello,"])
def test_zeros_in_front_do_no_harm(wire: bytes) -> None:
    assert read_string(wire) == b"hello"


def test_no_digits_mean_an_empty_string() -> None:
    assert read_string(b":,") == b""


@pytest.mark.parametrize(
    "wire",
    [b"x", b"-1:", b"+1:", b" 1:a,", b"1 :a,", b"1_0:", b"0x1:", b"\xb2:", b"1\0:", b"5,hello"],
)
def test_a_length_that_is_not_all_digits_is_an_error(wire: bytes) -> None:
    with pytest.raises(NetstringError):
        read_string(wire)


@pytest.mark.parametrize("wire", [b"5:hello;", b"5:hello\0", b"4:hello,", b"0:x"])
def test_a_comma_must_follow(wire: bytes) -> None:
    with pytest.raises(NetstringError):
        read_string(wire)


@pytest.mark.parametrize("wire", [b"20000000000", b"9" * 10000, b"4294967301:hello,"])
def test_a_huge_length_is_refused_before_its_end(wire: bytes) -> None:
    with pytest.raises(NetstringTooLong):
        read_string(wire)


def test_the_limit_counts_before_the_last_digit_as_in_the_original() -> None:
    reader = NetstringReader()
    reader.feed(b"2000000009:")

    with pytest.raises(StopIteration) as end:
        next(reader.length())

    assert end.value.value == 2000000009


def test_no_byte_beyond_a_string_that_was_entered_is_looked_at() -> None:
    reader = NetstringReader()
    reader.feed(b"5:hello,")
    reader.enter(6)

    with pytest.raises(StopIteration) as end:
        next(reader.length())
    assert end.value.value == 5
    assert reader.room == 4
    with pytest.raises(NetstringError):
        next(reader.string(5))
