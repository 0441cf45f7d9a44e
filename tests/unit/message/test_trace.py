from __future__ import annotations

import pytest

from pyqmail.message.trace import (
    Client,
    HopCounter,
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


CLIENT = Client(b"client.example.net", b"192.0.2.7", None, b"mail.example.org")


def test_the_field_of_a_client_says_how_it_calls_itself() -> None:
    field = CLIENT.received_field(b"SMTP", b"x", NOW)

    assert field == (
        b"Received: from client.example.net (HELO x) (192.0.2.7)\n"
        b"  by mail.example.org with SMTP; 3 Jan 2025 04:05:06 -0000\n"
    )


def test_the_field_of_a_client_says_who_its_user_is() -> None:
    client = Client(b"h", b"192.0.2.7", b"us er", b"l")

    assert client.received_field(b"SMTP", None, NOW).startswith(
        b"Received: from h (us?er@192.0.2.7)\n  by l with SMTP; "
    )


def test_whatever_a_client_calls_itself_is_one_field() -> None:
    everything = bytes(range(256))
    client = Client(everything, everything, everything, everything)

    field = client.received_field(b"SMTP", everything, NOW)

    assert field.count(b"\n") == 2
    assert field.isascii()
    assert not field.translate(None, bytes(range(32, 127)) + b"\n")


@pytest.mark.parametrize(
    ("message", "hops"),
    [
        (b"", 0),
        (b"Received: x\ndelivered-To: y\nRECEIVED-SPF: z\n\n", 3),
        (b" Received: x\nReceive: x\nXReceived: y\n\n", 0),
        (b"Subject: x\n\nReceived: in the body\n", 0),
        (b"\nReceived: in the body\n", 0),
        (b"Received", 1),
        (b"\r\nReceived: x\n", 1),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 7, 9, 10, 1000])
def test_hops_are_the_trace_fields_of_the_header(message: bytes, hops: int, step: int) -> None:
    counter = HopCounter()

    for at in range(0, len(message), step):
        counter.feed(message[at : at + step])

    assert counter.hops == hops


def test_a_header_without_end_is_counted_and_not_kept() -> None:
    counter = HopCounter()

    for _ in range(1000):
        counter.feed(b"Received: " + b"x" * 1000 + b"\n")

    assert counter.hops == 1000
