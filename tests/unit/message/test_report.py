from __future__ import annotations

import pytest

from pyqmail.message.report import (
    bounce_message_header,
    break_paragraph,
    failure_note,
    introduction,
)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (b"foo", b"<a@b>:\nfoo\n\n"),
        (b"foo\n", b"<a@b>:\nfoo\n\n"),
        (b"", b"<a@b>:\n\n"),
        (b"\nfoo", b"<a@b>:\n/foo\n\n"),
        (b"a\n\n\nb\n", b"<a@b>:\na\n//b\n\n"),
        (b"foo\n\n", b"<a@b>:\nfoo\n\n\n"),
        (b"foo\n\n\n", b"<a@b>:\nfoo\n/\n\n"),
        (b"\n", b"<a@b>:\n\n\n"),
        (b"tab\tand \xe4\xff", b"<a@b>:\ntab\tand \xe4\xff\n\n"),
        (b"one\r\ntwo\r\n", b"<a@b>:\none\r\ntwo\r\n\n"),
        (b"one\r\n\r\n<c@d>:\r\n", b"<a@b>:\none\r\n?\n<c@d>:\r\n\n"),
        (b"one\r\r<c@d>:\rno", b"<a@b>:\none??<c@d>:?no\n\n"),
    ],
)
def test_a_note_has_no_blank_line_before_its_end(text: bytes, note: bytes) -> None:
    assert failure_note(b"a@b", text) == note


def test_control_bytes_do_not_reach_the_terminal_of_the_reader() -> None:
    assert failure_note(b"a\x1b@b", b"\x1b[2J\0\x7f") == b"<a?@b>:\n?[2J??\n\n"


def test_a_recipient_cannot_begin_a_second_line() -> None:
    assert failure_note(b"a\n\n-@b", b"no") == b"<a__-@b>:\nno\n\n"


def test_the_header_of_a_bounce_quotes_both_addresses() -> None:
    header = bounce_message_header(0, b"mailer daemon", b"example.org", b"j oe@example.net")

    assert header == (
        b"Date: 1 Jan 1970 00:00:00 -0000\n"
        b'From: "mailer daemon"@example.org\n'
        b'To: "j oe"@example.net\n'
        b"Subject: failure notice\n"
    )


def test_a_bounce_says_what_it_is_about_and_where_the_copy_begins() -> None:
    assert introduction(b"example.org") == (
        b"Hi. This is the qmail-send program at example.org.\n"
        b"I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        b"This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
    )
    assert break_paragraph(100) == b"--- Below this line is a copy of the message.\n\n"


@pytest.mark.parametrize(("size", "limit"), [(100, 0), (100, 100), (0, 0), (0, 100)])
def test_a_message_that_is_not_too_long_is_not_said_to_be_cut(size: int, limit: int) -> None:
    assert break_paragraph(size, limit) == break_paragraph(size)


def test_the_sentence_that_says_where_the_copy_ends_belongs_to_the_break() -> None:
    assert break_paragraph(101, 100) == (
        b"--- Below this line is a copy of the message.\n"
        b"It is too long to be returned whole: these are the first 100 of its 101 bytes.\n\n"
    )


def test_a_double_bounce_says_so() -> None:
    assert introduction(b"example.org", double=True) == (
        b"Hi. This is the qmail-send program at example.org.\n"
        b"I tried to deliver a bounce message to this address, but the bounce bounced!\n\n"
    )
    assert break_paragraph(9, double=True) == b"--- Below this line is the original bounce.\n\n"
