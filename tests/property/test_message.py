"""What holds for every address, date, field and message."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from pyqmail.message.address import quote, quote_address, split_address, unquote
from pyqmail.message.date import ctime_date, local_date, rfc822_date, stamp
from pyqmail.message.header import read_header
from pyqmail.message.report import failure_note
from pyqmail.message.rewriting import Completion, rewrite_list
from pyqmail.message.tokens import FieldSyntaxError, bare_address, print_tokens, tokenise

COMPLETION = Completion(tokenise(b"@host"), tokenise(b".domain"), tokenise(b".plus"))
LAST_SECOND = 253402300799  # of the year 9999: what datetime can
TEXTS = st.binary(max_size=40) | st.text('ab.@,:;<>()[]"\\ \t\n+', max_size=40).map(str.encode)
SECONDS = st.integers(0, LAST_SECOND)


@given(st.binary())
def test_a_quoted_local_part_comes_back(local: bytes) -> None:
    assert unquote(quote(local)) == local


@given(st.binary(min_size=1), st.from_regex(rb"[a-z]+(\.[a-z]+)*", fullmatch=True))
def test_a_quoted_address_is_read_as_the_address_it_was(local: bytes, domain: bytes) -> None:
    address = local + b"@" + domain

    assert bare_address(tokenise(quote_address(address))) == address
    assert split_address(address) == (local, domain)


@given(SECONDS)
def test_dates_are_those_of_the_calendar(unix: int) -> None:
    moment = datetime.fromtimestamp(unix, UTC)

    expected = f"{moment.day} {moment:%b} {moment.year} {moment:%H:%M:%S} -0000"
    assert rfc822_date(unix).decode() == expected
    assert ctime_date(unix).decode() == f"{moment:%a %b %d %H:%M:%S} {moment.year}"
    assert stamp(unix).decode() == f"{moment.year}{moment:%m%d%H%M%S}"


@given(st.integers(86400, LAST_SECOND - 86400), st.integers(-14 * 60, 14 * 60))
def test_a_local_date_means_the_same_moment(unix: int, minutes: int) -> None:
    date = local_date(unix, 60 * minutes).decode()

    moment = datetime.fromtimestamp(unix, timezone(timedelta(minutes=minutes)))
    expected = f"{moment.day} {moment:%b} {moment.year} {moment:%H:%M:%S %z}"
    assert date == expected


@given(TEXTS)
def test_the_tokeniser_raises_its_own_error_alone(text: bytes) -> None:
    with suppress(FieldSyntaxError):
        tokenise(text)


@given(TEXTS)
def test_printed_tokens_are_read_as_the_same_tokens(text: bytes) -> None:
    try:
        tokens = tokenise(text)
    except FieldSyntaxError:
        return
    # An atom that needed backslashes may be printed as several tokens: the
    # original does not put backslashes before what ends an atom.
    if b"\\" in text:
        return

    printed = b"".join(print_tokens([tokens]))

    assert tokenise(printed) == tokens
    assert printed.endswith(b"\n")


@given(TEXTS)
def test_rewriting_a_list_keeps_or_refuses_it(text: bytes) -> None:
    with suppress(FieldSyntaxError):
        tokens = tokenise(text)
        kept = " ".join(rewrite_list(tokens, lambda address: address))

        assert characters_of(tokens) == characters_of(kept)


def characters_of(tokens: str) -> list[str]:
    """Return what must not be lost, in any order: a comma may be added, a comment moved."""
    return sorted(tokens.replace(",", "").replace(" ", ""))


ADDRESSES = st.from_regex(rb"[a-z]+(@[a-z]+(\.[a-z]+)*\+?)?", fullmatch=True)


@given(st.lists(ADDRESSES, max_size=8))
def test_a_completed_list_of_addresses_is_complete(addresses: list[bytes]) -> None:
    once = " ".join(rewrite_list(tokenise(b", ".join(addresses)), COMPLETION.complete))

    assert " ".join(rewrite_list(once, COMPLETION.complete)) == once


@given(st.lists(st.sampled_from([b"A: b", b" c", b"", b"From x", b"\r", b"no"]), max_size=9))
def test_no_byte_of_a_message_is_lost_by_splitting_it(lines: list[bytes]) -> None:
    text = b"".join(line + b"\n" for line in lines)
    rest = iter(text.splitlines(keepends=True))
    section = read_header(rest)

    whole = b"".join([*section.fields, section.body_start, *rest])
    whole = whole.replace(b"MBOX-Line: ", b"")
    # Where a line that is no field begins the body, an empty line is put before it.
    assert whole == text or whole.replace(b"\n", b"") == text.replace(b"\n", b"")


@given(st.binary(), st.binary())
def test_a_note_of_failure_is_one_paragraph(recipient: bytes, text: bytes) -> None:
    note = failure_note(recipient, text)

    assert note.startswith(b"<")
    assert note.endswith(b"\n\n")
    assert note.index(b"\n\n") >= len(note) - 3
