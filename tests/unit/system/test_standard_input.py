from __future__ import annotations

import os

import pytest

from pyqmail.system.standard_input import open_input, pieces_of


def pipe_with(data: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def test_what_is_put_first_comes_first() -> None:
    stream = open_input(b"a\nb", pipe_with(b"c\nd"))

    assert stream.readline() == b"a\n"
    assert stream.readline() == b"bc\n"
    assert b"".join(pieces_of(stream)) == b"d"


def test_what_is_put_first_may_be_larger_than_a_buffer() -> None:
    first = b"x" * 1_000_000

    assert b"".join(pieces_of(open_input(first, pipe_with(b"y")))) == first + b"y"


def test_only_reading_fails_where_the_descriptor_is_closed() -> None:
    closed, writing = os.pipe()
    os.close(writing)
    os.close(closed)

    stream = open_input(b"a\n", closed)
    other = os.open("/dev/null", os.O_RDONLY)

    assert other != closed
    assert stream.readline() == b"a\n"
    with pytest.raises(OSError, match="Bad file descriptor"):
        stream.readline()
    os.close(other)
    os.close(closed)
