from __future__ import annotations

import pytest

from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.send.bounces import BounceSettings, compose, note
from pyqmail.send.routing import Routing

SETTINGS = BounceSettings(b"MAILER-DAEMON", b"b.example", b"postmaster@b.example")


def test_a_bounce_goes_to_the_sender_from_nobody() -> None:
    bounce = compose(b"joe@a.example", b"<x@y>:\nno\n\n", SETTINGS, 0)

    assert bounce is not None
    assert (bounce.reverse_path, bounce.forward_path) == (b"", b"joe@a.example")
    assert bounce.text == (
        b"Date: 1 Jan 1970 00:00:00 -0000\n"
        b"From: MAILER-DAEMON@b.example\n"
        b"To: joe@a.example\n"
        b"Subject: failure notice\n"
        b"\n"
        b"Hi. This is the qmail-send program at b.example.\n"
        b"I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        b"This is a permanent error; I've given up. Sorry it didn't work out.\n"
        b"\n"
        b"<x@y>:\nno\n\n"
        b"--- Below this line is a copy of the message.\n"
        b"\n"
        b"Return-Path: <joe@a.example>\n"
    )


def test_a_failed_bounce_goes_to_the_administrator() -> None:
    bounce = compose(b"", b"<x@y>:\nno\n\n", SETTINGS, 0)

    assert bounce is not None
    assert (bounce.reverse_path, bounce.forward_path) == (b"#@[]", b"postmaster@b.example")
    assert b"but the bounce bounced!\n" in bounce.text
    assert bounce.text.endswith(b"--- Below this line is the original bounce.\n\nReturn-Path: <>\n")


def test_a_failed_double_bounce_goes_nowhere() -> None:
    assert compose(b"#@[]", b"<x@y>:\nno\n\n", SETTINGS, 0) is None


@pytest.mark.parametrize(
    ("reverse_path", "recipient"),
    [
        (b"owner-@host-@[]", b"owner-@host"),
        (b"owner@host-@[]", b"owner@host"),
        (b"-@[]", b"postmaster@b.example"),
        (b"x@[]", b"x@[]"),
    ],
)
def test_the_owner_of_a_list_gets_the_bounce(reverse_path: bytes, recipient: bytes) -> None:
    bounce = compose(reverse_path, b"", SETTINGS, 0)

    assert bounce is not None
    assert bounce.forward_path == recipient


def test_a_note_names_the_recipient_without_the_prefix_of_its_domain() -> None:
    routing = Routing(ConstantMap([]), ColonMap([b"virt.example:joe"]), ConstantMap([]), b"here")

    assert note(b"joe-x@virt.example", b"no\n", routing) == b"<x@virt.example>:\nno\n\n"
