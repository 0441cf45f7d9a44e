from __future__ import annotations

import pytest

from pyqmail.ucspi.filters import AddCr, DelCr, FixCr, recorded, recorded_end

MAKERS = [AddCr, DelCr, FixCr]


@pytest.mark.parametrize(
    ("data", "added", "deleted", "fixed"),
    [
        (b"", b"", b"", b""),
        (b"a\nb", b"a\r\nb", b"a\nb", b"a\r\nb"),
        (b"a\r\n", b"a\r\r\n", b"a\n", b"a\r\n"),
        (b"a\r\r\n", b"a\r\r\r\n", b"a\r\n", b"a\r\r\n"),
        (b"a\rb\r", b"a\rb\r", b"a\rb\r", b"a\rb\r"),
        (b"\n\n", b"\r\n\r\n", b"\n\n", b"\r\n\r\n"),
    ],
)
def test_line_ends(data: bytes, added: bytes, deleted: bytes, fixed: bytes) -> None:
    made = [(filter_ := make()).feed(data) + filter_.end() for make in MAKERS]

    assert made == [added, deleted, fixed]


def test_a_record_has_a_line_for_each_line() -> None:
    text = recorded(b"EHLO x\r\nQUIT", 7, b"<")

    assert text == b"7 < EHLO x\r \n7 < QUIT+\n"


def test_a_record_of_a_long_line_is_cut_where_the_original_read() -> None:
    text = recorded(b"x" * 300 + b"\n", 7, b">")

    assert text == b"7 > " + b"x" * 256 + b"+\n7 > " + b"x" * 44 + b" \n"


def test_a_record_shows_the_end() -> None:
    assert recorded_end(7, b">") == b"7 > [EOF]\n"
