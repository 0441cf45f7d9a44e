"""Databases and lists, whatever is in them."""

from __future__ import annotations

import os
import resource
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyqmail.control.assign import find_owner, parse_assign
from pyqmail.control.cdb import Cdb, CdbError, encode_cdb
from pyqmail.control.files import ControlError, parse_list
from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=40)), max_size=60)
LINES = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=20)
# Mostly what such a line is made of, so that many examples are lines.
LOCAL_PART = st.lists(st.sampled_from([b"a", b"B", b"-", b"x", b"\xe9"]), max_size=6).map(b"".join)


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="cdb.") as top:
        os.mkdir(f"{top}/users")
        yield top


def database(folder: str, data: bytes) -> Cdb:
    path = f"{folder}/users/cdb"
    with open(path, "wb") as file:
        file.write(data)
    return Cdb(path)


@settings(deadline=None)  # the disk has its own pace
@given(records=RECORDS, others=st.lists(st.binary(max_size=12)))
def test_every_record_is_found_and_no_other(
    folder: str, records: list[tuple[bytes, bytes]], others: list[bytes]
) -> None:
    opened = database(folder, encode_cdb(records))
    first = dict(reversed(records))

    assert list(opened.records()) == records
    for key in [*first, *others]:
        assert opened.get(key) == first.get(key)


@settings(deadline=None)
@given(
    records=RECORDS,
    damage=st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8))),
    length=st.integers(0, 6000),
)
@example(records=[(b"a", b"b")], damage=[(0, b"\0\0\0\xff\xff\xff\xff\xff")], length=6000)
def test_a_damaged_database_raises_nothing_but_its_own_error(
    folder: str, records: list[tuple[bytes, bytes]], damage: list[tuple[int, bytes]], length: int
) -> None:
    data = bytearray(encode_cdb(records))
    for position, rubbish in damage:
        data[position : position + len(rubbish)] = rubbish
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    outcomes = outcomes_of_use(folder, bytes(data[:length]), [key for key, _ in records])

    assert all(outcome is None or isinstance(outcome, bytes) for outcome in outcomes)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # kB


def outcomes_of_use(folder: str, data: bytes, keys: list[bytes]) -> list[bytes | None]:
    """Look keys up, list all records, find owners; return what was found before an error came."""
    found = []
    with suppress(CdbError):
        opened = database(folder, data)
        found += [opened.get(key) for key in keys]
        for _ in opened.records():
            pass
    for key in keys[:3]:
        with suppress(CdbError):
            find_owner(folder, key)
    return found


@settings(deadline=None)
@given(
    lines=st.lists(
        st.tuples(st.sampled_from([b"=", b"+"]), LOCAL_PART, st.integers(1, 9)), max_size=8
    ),
    local=LOCAL_PART,
)
def test_an_owner_is_who_the_lines_say(
    folder: str, lines: list[tuple[bytes, bytes, int]], local: bytes
) -> None:
    text = b"".join(b"%b%b:u:%d:1:/:-:e:\n" % line for line in lines) + b".\n"
    database(folder, encode_cdb(parse_assign(text)))

    found = find_owner(folder, local)

    assert (None if found is None else (found.uid, found.ext)) == expected_owner(lines, local)


def expected_owner(lines: list[tuple[bytes, bytes, int]], local: bytes) -> tuple[int, bytes] | None:
    """Say whose `local` is by trying every line."""
    for kind, name, uid in lines:
        if kind == b"=" and name.lower() == local.lower():
            return uid, b"e"
    prefixes = [
        (len(name), uid)
        for kind, name, uid in lines
        if kind == b"+" and local.lower().startswith(name.lower())
    ]
    if not prefixes:
        return None
    longest = max(length for length, _ in prefixes)
    uid = next(uid for length, uid in prefixes if length == longest)
    return uid, b"e" + local[longest:]


@given(text=st.binary(max_size=200))
@example(text=b"=\n.\n")
@example(text=b"=a:b:c:d:e:f:g:\n.")
def test_any_text_is_assignments_or_an_error_with_a_line(text: bytes) -> None:
    line, records = line_or_records(text)

    assert (line is None) == bool(records)
    assert line is None or 1 <= line <= text.count(b"\n") + 1


def line_or_records(text: bytes) -> tuple[int | None, list[tuple[bytes, bytes]]]:
    try:
        return None, parse_assign(text)
    except ControlError as error:
        return error.line, []


@given(lines=LINES)
def test_a_map_is_its_lines(lines: list[bytes]) -> None:
    constant, colon = ConstantMap(lines), ColonMap(lines)
    last = {key.lower(): value for key, sign, value in (x.partition(b":") for x in lines) if sign}

    assert all(line in constant and line.upper() in constant for line in lines)
    assert {key: colon.get(key) for key in last} == last
    assert len(colon) == len(last)


@given(text=st.binary(max_size=100))
def test_an_entry_of_a_list_is_never_empty_at_its_end_or_a_comment(text: bytes) -> None:
    for entry in parse_list(text.replace(b"\0", b"")):
        assert entry
        assert entry == entry.rstrip(b" \t\r\n")
        assert not entry.startswith(b"#")


def test_a_failure_of_a_database_is_a_failure_that_mail_knows() -> None:
    assert issubclass(CdbError, Failure)
