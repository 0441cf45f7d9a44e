"""What holds for every input of the parts of ucspi-tcp."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyqmail.errors import PermanentFailure
from pyqmail.protocol.ident import parse_reply
from pyqmail.reception.refusal import Lines
from pyqmail.ucspi.filters import AddCr, DelCr, FixCr, recorded
from pyqmail.ucspi.rules import Rule, explain, parse_rules

line_ends = st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\r\n"]), max_size=40).map(b"".join)
rule_parts = st.sampled_from(
    [b"\n", b" ", *b'1.2.3. 4 - = @ : allow deny , A " # 2001:db8: :: \0 \xff'.split(b" ")]
)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(each % (len(data) + 1) for each in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("make", [AddCr, DelCr, FixCr])
@given(data=line_ends, cuts=st.lists(st.integers(0, 80), max_size=10))
def test_where_the_bytes_are_cut_changes_nothing(
    make: type[AddCr | DelCr | FixCr], data: bytes, cuts: list[int]
) -> None:
    whole, pieces = make(), make()

    expected = whole.feed(data) + whole.end()

    assert b"".join(map(pieces.feed, cut(data, cuts))) + pieces.end() == expected


@given(data=line_ends)
def test_adding_and_deleting_gives_the_same_again(data: bytes) -> None:
    filter_ = DelCr()

    assert filter_.feed(AddCr().feed(data)) + filter_.end() == data


@given(data=line_ends)
def test_what_is_fixed_has_no_bare_line_feed_and_is_not_fixed_again(data: bytes) -> None:
    fixed = FixCr().feed(data)

    assert fixed.count(b"\n") == fixed.count(b"\r\n")
    assert FixCr().feed(fixed) == fixed
    assert fixed.replace(b"\r\n", b"\n") == data.replace(b"\r\n", b"\n")


@given(data=st.binary(max_size=2000))
def test_a_record_holds_all_bytes_but_line_feeds(data: bytes) -> None:
    lines = recorded(data, 7, b"<").split(b"\n")[:-1]

    assert all(line.startswith(b"7 < ") and line[-1:] in b" +" for line in lines)
    assert b"".join(line[4:-1] for line in lines) == data.replace(b"\n", b"")


@given(text=st.lists(rule_parts, max_size=40).map(b"".join))
def test_rules_are_understood_or_quoted(text: bytes) -> None:
    try:
        records, said = list(parse_rules(text)), b""
    except PermanentFailure as failure:
        records, said = [], failure.text

    assert said == b"" or said.startswith(b"unable to parse this line: ")
    for key, data in records:
        rule = Rule(key, data)
        assert explain(rule).endswith((b"\nallow connection\n", b"\ndeny connection\n"))
        assert rule.denies == data.startswith(b"D\0")


@given(reply=st.binary(max_size=400))
def test_a_user_is_short_and_has_no_blank(reply: bytes) -> None:
    user = parse_reply(reply)

    assert len(user) <= 257
    assert not set(user) & set(b" \t\r\n")


@given(data=line_ends, cuts=st.lists(st.integers(0, 80), max_size=10))
def test_a_refusing_session_keeps_little_and_counts_lines(data: bytes, cuts: list[int]) -> None:
    lines, whole = Lines(), Lines()

    verbs = [verb for piece in cut(data, cuts) for verb in lines.verbs(piece)]

    assert verbs == list(whole.verbs(data))
    assert len(verbs) == data.count(b"\n")
