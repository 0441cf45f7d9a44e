from __future__ import annotations

from pyqmail.message.trace import (
    delivered_to_line,
    mbox_from_line,
    received_line,
    return_path_line,
)

NOW = 1735877106


def test_the_received_field_says_who_queued_the_message() -> None:
    line = received_line(20345, b"by uid 666", NOW)

    assert line == b"Received: (qmail 20345 invoked by uid 666); 3 Jan 2025 04:05:06 -0000\n"


def test_a_return_path_is_quoted_where_it_must_be() -> None:
    assert return_path_line(b"joe@example.org") == b"Return-Path: <joe@example.org>\n"
    assert return_path_line(b"j oe@example.org") == b'Return-Path: <"j oe"@example.org>\n'
    assert return_path_line(b"") == b"Return-Path: <>\n"


def test_a_line_feed_in_a_path_does_not_make_a_second_line() -> None:
    assert return_path_line(b"a\nb@example.org") == b'Return-Path: <"a\\_b"@example.org>\n'
    assert delivered_to_line(b"a\nb", b"c\nd") == b"Delivered-To: a_b@c_d\n"
    assert mbox_from_line(b"a b\tc\nd", NOW) == b"From a-b-c-d Fri Jan 03 04:05:06 2025\n"


def test_an_mbox_entry_from_nobody_is_from_the_mailer_daemon() -> None:
    assert mbox_from_line(b"", NOW) == b"From MAILER-DAEMON Fri Jan 03 04:05:06 2025\n"
