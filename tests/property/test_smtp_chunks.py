"""However a client's bytes are cut, it gets the same replies and leaves the same messages."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.smtp import converse

from pyqmail.protocol.smtp.server import MAX_COMMAND_LINE
from pyqmail.protocol.smtp.states import State

DIALOG = (
    b"EHLO client.example.net\r\nMAIL FROM:<sue@example.net> SIZE=100\r\n"
    b"RCPT TO:<nobody@example.org>\r\nRCPT TO:<joe@example.org>\r\nFOO\r\n\r\nDATA\r\n"
    b"Subject: x\r\n\r\n..dots\r\n.\rCR\r\nbare\rCR\r\n.\r\n"
    b"MAIL FROM:<b@example.net>\r\nNOOP\nQUIT\r\nRSET\r\nMAIL <c@example.net>\r\n"
    b"RCPT TO:<ann@example.org>\r\nDATA\r\nsecond\r\n.\r\nQUIT\r\n"
)

LATER_DIALOG = (
    b"AUTH PLAIN\r\n\r\nAGpvZQBz\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN !\r\nXCLIENT NAME=x\r\n"
    b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 8\r\none\r\ntwBDAT 5 LAST\r\no\r\n.\r"
    b"BDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 4\r\na\nbcBDAT 2 LAST\r\n\r\n"
    b"MAIL FROM:<e@f>\r\nRCPT TO:<c@d>\r\nBDAT 2\r\na\rRSET\r\nRSET\r\nNOOP\r\n"
    b"STARTTLS\r\n"
)

WORDS = [
    b"EHLO x", b"HELO", b"MAIL FROM:<a@b>", b"RCPT TO:<c@d>", b"RCPT TO:<nobody@example.org>",
    b"DATA", b"RSET", b"NOOP", b"QUIT", b"\r\n", b"\r\n", b"\r\n", b"\r", b"\n", b".", b"\r\n.\r\n",
    b"BDAT 7\r\n", b"BDAT 20 LAST\r\n", b"BDAT 0 LAST\r\n", b"BDAT x\r\n", b"AUTH PLAIN",
    b"AUTH LOGIN", b"*\r\n", b"XCLIENT ADDR=192.0.2.1", b"GET / HTTP/1.1", b"\x16\x03", b"=",
    b"AGpvZQBz\r\n", b"..", b"\0", b" ", b"<", b">", b'"', b"\\", b"x" * MAX_COMMAND_LINE, b"\xff",
]  # fmt: skip


def cut(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(wire)]
    return [wire[a:b] for a, b in pairwise(edges)]


@given(cuts=st.lists(st.integers(0, len(DIALOG))))
def test_where_the_stream_is_cut_changes_nothing(cuts: list[int]) -> None:
    assert converse(cut(DIALOG, cuts)) == converse([DIALOG])


@given(cuts=st.lists(st.integers(0, len(LATER_DIALOG))))
def test_where_chunks_and_authentication_are_cut_changes_nothing(cuts: list[int]) -> None:
    assert converse(cut(LATER_DIALOG, cuts)) == converse([LATER_DIALOG])


@settings(deadline=None)
@given(words=st.lists(st.sampled_from(WORDS), max_size=30), data=st.data())
def test_where_any_stream_is_cut_changes_nothing(words: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(words)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=20))

    assert converse(cut(wire, cuts)) == converse([wire])


@given(pieces=st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_whatever_break_the_session(pieces: list[bytes]) -> None:
    outcome = converse(pieces)

    assert outcome.state in State
    assert all(line[:3].isdigit() for line in outcome.replies.split(b"\r\n")[:-1])


@settings(deadline=None)
@given(words=st.lists(st.sampled_from(WORDS), max_size=30))
def test_every_line_of_a_reply_is_short(words: list[bytes]) -> None:
    replies = converse(words).replies.split(b"\r\n")

    assert all(len(line) <= 510 for line in replies)  # RFC 5321 §4.5.3.1.5
