from __future__ import annotations

import pytest

from pyqmail.protocol.lines import LineBuffer, LineTooLong


def test_only_cr_lf_ends_a_line() -> None:
    lines = LineBuffer(100)

    lines.feed(b"a\nb\rc\r\r\n\r\nd")

    assert lines.take_line() == b"a\nb\rc\r"
    assert lines.take_line() == b""
    assert lines.take_line() is None


def test_a_line_may_be_cut_between_cr_and_lf() -> None:
    lines = LineBuffer(3)

    lines.feed(b"abc\r")
    assert lines.take_line() is None
    lines.feed(b"\n")

    assert lines.take_line() == b"abc"


@pytest.mark.parametrize("step", [1, 2, 3, 5, 100])
def test_a_line_is_too_long_or_not_however_it_is_cut(step: int) -> None:
    wire = b"12345\r\n123456\r\nx\r\n"
    lines = LineBuffer(5)
    got: list[bytes | None] = []

    for at in range(0, len(wire), step):
        lines.feed(wire[at : at + step])
        while True:
            try:
                line = lines.take_line()
            except LineTooLong:
                got.append(None)
                continue
            if line is None:
                break
            got.append(line)

    assert got == [b"12345", None, b"x"]


def test_an_endless_line_takes_no_memory() -> None:
    lines = LineBuffer(512)

    for _ in range(1000):
        lines.feed(b"x" * 1000)
        assert lines.take_line() is None

    assert len(lines.take_all()) == 1


def test_what_is_taken_is_gone() -> None:
    lines = LineBuffer(100)
    lines.feed(b"half a line")

    assert lines.take_all() == b"half a line"
    assert lines.take_all() == b""
