from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyqmail.mailbox.mbox import entry_pieces
from pyqmail.mailbox.reading import letters

FROM = b"From ann@example.org Sat Jan 03 04:05:06 2025\n"


def texts(mbox: bytes) -> list[bytes]:
    return [letter.text for letter in letters(mbox)]


def test_each_letter_is_what_was_delivered() -> None:
    mbox = FROM + b"Subject: 1\n\none\n\n" + FROM + b"Subject: 2\n\n>From me\n>>From you\n\n"

    assert texts(mbox) == [b"Subject: 1\n\none\n", b"Subject: 2\n\nFrom me\n>From you\n"]
    assert [letter.from_line for letter in letters(mbox)] == [FROM[:-1]] * 2


def test_a_line_that_begins_with_from_in_the_middle_begins_no_letter() -> None:
    assert texts(FROM + b"\nDear\nFrom here on\n\n") == [b"\nDear\nFrom here on\n"]


def test_what_is_before_the_first_letter_is_not_lost() -> None:
    assert texts(b"half a letter\n\n" + FROM + b"\nx\n\n") == [b"half a letter\n", b"\nx\n"]


@pytest.mark.parametrize("mbox", [b"", b"\n"])
def test_an_empty_file_has_no_letters_to_lose(mbox: bytes) -> None:
    assert b"".join(texts(mbox)) == mbox


@pytest.mark.parametrize(
    ("status", "seen"), [(b"Status: RO\n", True), (b"Status: O\n", False), (b"", False)]
)
def test_what_was_read_is_seen(status: bytes, seen: bool) -> None:  # noqa: FBT001
    (letter,) = letters(FROM + status + b"Subject: x\n\nStatus: R\n\n")

    assert letter.seen is seen


@given(st.lists(st.lists(st.sampled_from([b"", b"From x", b">From y", b"text", b"From: z"]))))
def test_what_we_write_is_read_as_it_was(many: list[list[bytes]]) -> None:
    wanted = [b"Subject: s\n\n" + b"".join(line + b"\n" for line in lines) for lines in many]

    mbox = b"".join(FROM + b"".join(entry_pieces([text])) for text in wanted)

    assert texts(mbox) == wanted
