from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.assign import Assignment, find_owner, parse_assign
from pyqmail.control.cdb import CdbError, write_cdb
from pyqmail.control.files import ControlError

if TYPE_CHECKING:
    from pathlib import Path

ASSIGN = b"""\
=joe:joe:503:78:/home/joe:::
=Sales:ann:504:78:/home/ann:-:sales:
+joe-:joe:503:78:/home/joe:-::
+joe-x-:xavier:505:78:/home/x:-:pre-:
+ListA:lists:506:78:/home/lists:-:a-:
+:alias:7790:2108:/var/qmail/alias:-::
.
not read
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "users").mkdir()
    return tmp_path


def compile_text(home: Path, text: bytes) -> None:
    write_cdb(str(home / "users" / "cdb"), parse_assign(text))


def owner(home: Path, local: bytes) -> tuple[bytes, bytes, bytes] | None:
    found = find_owner(str(home), local)
    return None if found is None else (found.user, found.dash, found.ext)


def test_the_records_are_those_of_the_format() -> None:
    records = parse_assign(b"=Joe:u:1:2:/h:d:e:rest\n+Ab-:u:1:2:/h:d:e:\n+:a:3:4:/a:-::\n.\n")

    value = b"u\x001\x002\0/h\0d\0e"
    assert records == [
        (b"!joe\0", value),
        (b"!ab-", value),
        (b"!", b"a\x003\x004\0/a\0-\0"),
        (b"", b"-"),
    ]


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        (b"joe", (b"joe", b"", b"")),
        (b"JOE", (b"joe", b"", b"")),
        (b"sales", (b"ann", b"-", b"sales")),
        (b"joe-", (b"joe", b"-", b"")),
        (b"joe-List", (b"joe", b"-", b"List")),
        (b"joe-x-Y", (b"xavier", b"-", b"pre-Y")),
        (b"joe-xy", (b"joe", b"-", b"xy")),
        (b"lista", (b"lists", b"-", b"a-")),
        (b"LISTAb", (b"lists", b"-", b"a-b")),
        (b"Bill", (b"alias", b"-", b"Bill")),
        (b"", (b"alias", b"-", b"")),
    ],
)
def test_an_exact_line_comes_first_and_then_the_longest_prefix(
    home: Path, local: bytes, expected: tuple[bytes, bytes, bytes]
) -> None:
    compile_text(home, ASSIGN)

    assert owner(home, local) == expected


def test_who_owns_it_is_told_with_numbers_and_home(home: Path) -> None:
    compile_text(home, ASSIGN)

    assert find_owner(str(home), b"joe-a") == Assignment(b"joe", 503, 78, b"/home/joe", b"-", b"a")


def test_a_local_part_that_no_line_covers_is_nobodys(home: Path) -> None:
    compile_text(home, b"=joe:joe:503:78:/home/joe:::\n+ann-:ann:1:1:/ann:-::\n.\n")

    assert owner(home, b"joe-x") is None
    assert owner(home, b"ann") is None


def test_of_several_lines_with_one_name_the_first_counts(home: Path) -> None:
    compile_text(home, b"=a:first:1:1:/:::\n=A:second:2:2:/:::\n.\n")

    assert owner(home, b"a") == (b"first", b"", b"")


def test_without_a_database_nobody_is_assigned(home: Path) -> None:
    assert find_owner(str(home), b"joe") is None


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        (b"", 1, 'the last line, a ".", is missing'),
        (b"=a:b:1:2:/:::\n", 2, 'the last line, a ".", is missing'),
        (b"=a:b:1:2:/:::\n=a:b:1:2:/::\n.\n", 2, "fewer than seven colons"),
        (b"=a:b:1:2:/:::\n\n.\n", 2, "fewer than seven colons"),
        (b"=\0a:b:1:2:/:::\n.\n", 1, "a NUL byte"),
        (b":a:b:1:2:/:::\n.\n", 1, "begins with a colon"),
    ],
)
def test_a_line_that_is_wrong_is_named_by_its_number(text: bytes, line: int, wrong: str) -> None:
    with pytest.raises(ControlError) as caught:
        parse_assign(text)

    assert str(caught.value) == f"users/assign line {line}: {wrong}"
    assert (caught.value.line, caught.value.exit_code) == (line, 111)


def test_what_follows_the_last_line_is_not_read() -> None:
    assert parse_assign(b".\nrubbish") == [(b"", b"")]
    assert parse_assign(b".") == [(b"", b"")]


@pytest.mark.parametrize(
    ("uid", "number"),
    [
        (b"1000", 1000),
        (b"12x", 12),
        (b"", 0),
        (b"joe", 0),
        (b"-1", 0),
        (b"4294967296", 0),  # 2^32: what is cut off must not hide a 0
        (b"9" * 5000, int("9" * 20) % 2**32),
        ("\u0663".encode(), 0),
    ],
)
def test_a_user_id_is_read_as_the_original_reads_it(home: Path, uid: bytes, number: int) -> None:
    compile_text(home, b"=a:b:%b:2:/:::\n.\n" % uid)

    found = find_owner(str(home), b"a")

    assert found is not None
    assert found.uid == number


def test_a_database_without_the_list_of_endings_is_an_error(home: Path) -> None:
    write_cdb(str(home / "users" / "cdb"), [(b"!a\0", b"b\x001\x002\0/\0\0")])

    with pytest.raises(CdbError, match="no list of wild cards; run qmail-newu"):
        find_owner(str(home), b"a")


def test_a_record_with_too_few_fields_is_an_error(home: Path) -> None:
    write_cdb(str(home / "users" / "cdb"), [(b"!a\0", b"b\x001\x002\0/"), (b"", b"")])

    with pytest.raises(CdbError, match="too few fields; run qmail-newu"):
        find_owner(str(home), b"a")
