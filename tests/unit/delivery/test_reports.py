from __future__ import annotations

import pytest

from pyqmail.delivery.reports import KILLED, MAX_OUTPUT, Output, report_of, status_of


@pytest.mark.parametrize(
    ("code", "report"),
    [
        (0, b"Ktext\n"),
        (100, b"Dtext\n"),
        (1, b"Dtext\n"),
        (255, b"Dtext\n"),
        *((code, b"Ztext\n") for code in (111, 71, 74, 75)),
        (112, b"ZInternal qmail-lspawn bug.\n"),
        (113, b"ZNot allowed to perform deliveries as root.\n"),
        (120, b"ZUnable to run qmail-local.\n"),
        (126, b"DUnable to run qmail-local.\n"),
    ],
)
def test_the_exit_code_gives_the_letter_and_sometimes_the_text(code: int, report: bytes) -> None:
    assert report_of(status_of(code), b"text\n") == report


def test_a_killed_delivery_has_crashed_whatever_it_wrote() -> None:
    assert report_of(KILLED, b"text\n") == b"Zqmail-local crashed.\n"


def test_a_nul_ends_the_text() -> None:
    assert report_of(0, b"a\0b") == b"Ka"


def test_a_text_up_to_the_limit_is_kept() -> None:
    output = Output()

    output.add(b"x" * MAX_OUTPUT)

    assert output.text == b"x" * MAX_OUTPUT


@pytest.mark.parametrize("size", [MAX_OUTPUT + 1, 10 * MAX_OUTPUT, 100_000])
def test_a_longer_text_is_cut_and_says_so(size: int) -> None:
    output = Output()

    output.add(b"x" * size)

    note = b"\nError report too long, sorry.\n"
    assert output.text[:2997] == b"x" * 2966 + note
    assert len(output.text) <= MAX_OUTPUT
