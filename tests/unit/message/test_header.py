from __future__ import annotations

import pytest

from pyqmail.message.header import contents, field_name, is_field, read_header


def read(text: bytes) -> tuple[list[bytes], bytes, bytes]:
    """Return fields, what was read of the body with them, and what was not read."""
    lines = iter(text.splitlines(keepends=True))
    section = read_header(lines)
    return section.fields, section.body_start, b"".join(lines)


def test_a_continuation_line_belongs_to_the_field_before_it() -> None:
    assert read(b"A: b\n c\n\td\n \nE: f\n\nbody\n") == (
        [b"A: b\n c\n\td\n \n", b"E: f\n"],
        b"\n",
        b"body\n",
    )


def test_a_header_section_can_be_all_there_is() -> None:
    assert read(b"A: b\nC: d") == ([b"A: b\n", b"C: d\n"], b"", b"")
    assert read(b"") == ([], b"", b"")


@pytest.mark.parametrize("line", [b"no field\n", b": x\n", b"a b: c\n", b"\xe4: x\n", b"\r\n"])
def test_a_line_that_is_no_field_begins_the_body_behind_an_empty_line(line: bytes) -> None:
    assert read(b"A: b\n" + line + b"C: d\n") == ([b"A: b\n"], b"\n" + line, b"C: d\n")


def test_a_continuation_of_nothing_begins_the_body() -> None:
    assert read(b" a\nB: c\n") == ([], b"\n a\n", b"B: c\n")


def test_a_line_of_an_mbox_becomes_a_field() -> None:
    assert read(b"From joe today\nA: b\n\n") == (
        [b"MBOX-Line: From joe today\n", b"A: b\n"],
        b"\n",
        b"",
    )


def test_the_empty_line_that_ends_the_section_is_the_only_one_read() -> None:
    assert read(b"\n\nbody\n") == ([], b"\n", b"\nbody\n")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"A:", True),
        (b"A \t: b", True),
        (b"!~: b", True),
        (b"A", False),
        (b" : b", False),
        (b"A\x7f: b", False),
    ],
)
def test_a_field_has_a_name_of_printable_bytes_and_a_colon(line: bytes, answer: bool) -> None:  # noqa: FBT001
    assert is_field(line) is answer


def test_the_name_of_a_field_is_compared_in_lower_case() -> None:
    assert field_name(b"Resent-TO \t: a: b\n") == b"resent-to"


def test_the_contents_begin_after_the_blanks() -> None:
    assert contents(b"A:\r\n \tb c\n") == b"b c\n"
