"""What holds for every message, every `.qmail` file and every name."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from pyqmail.delivery.dotqmail import candidates, parse_instructions
from pyqmail.delivery.reports import MAX_OUTPUT, Output
from pyqmail.mailbox.maildir import unique_name
from pyqmail.mailbox.mbox import entry_pieces

# Messages in which From lines, `>`s and unfinished lines are likely.
FRAGMENTS = st.sampled_from([b"From ", b"Fro", b"m ", b">", b">>", b"\n", b"\r", b"\0", b"x", b"F"])
MESSAGES = st.lists(FRAGMENTS | st.binary(max_size=4)).map(b"".join)


def unquoted(entry: bytes) -> bytes:
    """Return the message of an entry as a reader of mboxrd shows it."""
    assert entry.endswith(b"\n")
    return re.sub(rb"(?m)^>(>*From )", rb"\1", entry[:-1])


@given(MESSAGES, st.data())
def test_a_reader_of_an_mbox_gets_every_message_back(message: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)))))
    edges = [0, *cuts, len(message)]
    pieces = [message[a:b] for a, b in itertools.pairwise(edges)]

    entry = b"".join(entry_pieces(pieces))

    finished = message if message.endswith(b"\n") or not message else message + b"\n"
    assert unquoted(entry) == finished
    assert not re.search(rb"(?m)^From ", entry)


@given(st.binary(), st.booleans())
def test_every_dotqmail_file_can_be_parsed(text: bytes, forward_only: bool) -> None:  # noqa: FBT001
    instructions = parse_instructions(text, forward_only=forward_only)

    assert len(instructions) <= text.count(b"\n") + 1
    assert all(b"\0" not in instruction.argument for instruction in instructions)


@given(st.binary(), st.sampled_from([b"", b"-", b"+", b"-/"]))
def test_every_extension_has_candidates_and_none_leads_upwards(ext: bytes, dash: bytes) -> None:
    names = list(candidates(dash, ext))

    assert names[-1] == (b".qmail" + dash + b"default", ext)
    assert all(b".." not in name and name.startswith(b".qmail" + dash) for name, _ in names)
    assert all(default is None or ext.endswith(default) for _, default in names)
    assert len(names) <= ext.count(b"-") + 2


@given(
    st.integers(0, 2**33),
    st.integers(1, 2**22),
    st.integers(1),
    st.binary(min_size=8, max_size=8),
    st.text(max_size=70),
)
def test_a_unique_name_is_a_name_for_a_maildir(
    now: int, pid: int, delivery: int, random: bytes, host: str
) -> None:
    name = unique_name(now, pid, delivery, random, host)

    assert not name.startswith(".")
    assert "/" not in name
    assert ":" not in name


@given(
    st.sets(
        st.tuples(
            st.integers(0, 3),
            st.integers(1, 3),
            st.integers(1, 3),
            st.binary(min_size=8, max_size=8),
        )
    )
)
def test_deliveries_that_differ_in_anything_have_different_names(
    deliveries: set[tuple[int, int, int, bytes]],
) -> None:
    names = {unique_name(*delivery, "host") for delivery in deliveries}

    assert len(names) == len(deliveries)


@given(st.lists(st.binary(max_size=5000)))
def test_no_program_makes_a_report_longer_than_its_limit(pieces: list[bytes]) -> None:
    output = Output()
    for piece in pieces:
        output.add(piece)

    assert len(output.text) <= MAX_OUTPUT
