from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes

import pytest

from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.message.wishes import Wishes
from pyqmail.send.bounces import (
    BounceMessage,
    BounceSettings,
    FailedMessage,
    anybody_is_told,
    compose,
    note,
)
from pyqmail.send.routing import Routing

SETTINGS = BounceSettings(
    b"MAILER-DAEMON", b"b.example", b"postmaster@b.example", is_multipart=False, bouncemaxbytes=0
)
MULTIPART = replace(SETTINGS, is_multipart=True)
NOTE = b"<x@y>:\nno\n\n"
MESSAGE = b"Subject: hello\n\nthere\n"


def failed(
    reverse_path: bytes = b"joe@a.example", notes: bytes = NOTE, message: bytes = MESSAGE
) -> FailedMessage:
    # Small pieces, so that every seam is met.
    def pieces(text: bytes) -> list[bytes]:
        return [text[at : at + 7] for at in range(0, len(text), 7)]

    return FailedMessage(
        reverse_path, len(message), 0, lambda: pieces(message), lambda: pieces(notes)
    )


def composed(of: FailedMessage, settings: BounceSettings = SETTINGS) -> BounceMessage:
    bounce = compose(of, settings, 0)
    assert bounce is not None
    return bounce


def test_a_bounce_goes_to_the_sender_from_nobody() -> None:
    bounce = composed(failed())

    assert (bounce.reverse_path, bounce.forward_path) == (b"", b"joe@a.example")
    assert b"".join(bounce.pieces) == (
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
        b"Subject: hello\n\nthere\n"
    )


@pytest.mark.parametrize("settings", [SETTINGS, MULTIPART])
def test_a_failed_bounce_goes_to_the_administrator(settings: BounceSettings) -> None:
    bounce = composed(failed(b""), settings)

    assert (bounce.reverse_path, bounce.forward_path) == (b"#@[]", b"postmaster@b.example")
    text = b"".join(bounce.pieces)
    assert b"\nTo: postmaster@b.example\n" in text
    assert b"but the bounce bounced!\n" in text
    assert b"--- Below this line is the original bounce.\n\n" in text
    assert b"\nReturn-Path: <>\nSubject: hello\n\nthere\n" in text


@pytest.mark.parametrize("settings", [SETTINGS, MULTIPART])
def test_a_failed_double_bounce_goes_nowhere(settings: BounceSettings) -> None:
    assert compose(failed(b"#@[]"), settings, 0) is None


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
    assert composed(failed(reverse_path)).forward_path == recipient


def test_a_report_has_the_text_of_the_original_and_then_the_message() -> None:
    header, _, body = b"".join(composed(failed()).pieces).partition(b"\n\n")
    report = message_from_bytes(b"".join(composed(failed(), MULTIPART).pieces))

    text, status, message = report.get_payload()

    assert report.as_bytes().startswith(header + b"\n")
    copy = message.get_payload()[0].as_bytes()
    assert text.get_payload(decode=True) + copy == body
    assert status.get_payload()[1]["Final-Recipient"] == "rfc822; x@y"


@pytest.mark.parametrize("settings", [SETTINGS, MULTIPART])
def test_the_copy_ends_where_bouncemaxbytes_says(settings: BounceSettings) -> None:
    settings = replace(settings, bouncemaxbytes=10)

    text = b"".join(composed(failed(), settings).pieces)

    assert b"these are the first 10 of its 22 bytes.\n\n" in text
    assert b"Return-Path: <joe@a.example>\nSubject: h" in text
    assert b"Subject: he" not in text


def test_a_message_as_long_as_bouncemaxbytes_comes_back_whole() -> None:
    settings = replace(SETTINGS, bouncemaxbytes=len(MESSAGE))

    assert b"".join(composed(failed(), settings).pieces) == b"".join(composed(failed()).pieces)


def test_a_note_names_the_recipient_without_the_prefix_of_its_domain() -> None:
    routing = Routing(ConstantMap([]), ColonMap([b"virt.example:joe"]), ConstantMap([]), b"here")

    assert note(b"joe-x@virt.example", b"no\n", routing) == b"<x@virt.example>:\nno\n\n"


NOTES = b"<ann@example.org>:\nno (#5.1.1)\n\n<joe@example.org>:\nfull (#5.2.2)\n\n"


def wishing(*records: bytes, notes: bytes = NOTES, message: bytes = MESSAGE) -> FailedMessage:
    return replace(failed(notes=notes, message=message), wishes=Wishes.of_records(records))


@pytest.mark.parametrize("settings", [SETTINGS, MULTIPART])
@pytest.mark.parametrize("notify", [b"NEVER", b"SUCCESS,DELAY"])
def test_a_failure_that_the_sender_wants_not_to_hear_of_is_not_told(
    settings: BounceSettings, notify: bytes
) -> None:
    message = wishing(b"NOTIFY=" + notify + b" TO=ann@example.org")

    text = b"".join(composed(message, settings).pieces)

    assert anybody_is_told(message)
    assert b"ann@example.org" not in text
    assert b"\n\n<joe@example.org>:\nfull (#5.2.2)\n\n---" in text


def test_where_nobody_wants_to_hear_nobody_is_told() -> None:
    records = [b"NOTIFY=NEVER TO=ann@example.org", b"NOTIFY=NEVER TO=joe@example.org"]

    assert not anybody_is_told(wishing(*records))
    assert anybody_is_told(wishing(records[0]))
    assert anybody_is_told(wishing())
    assert anybody_is_told(wishing(b"RET=HDRS "))


@pytest.mark.parametrize("message", [MESSAGE, b"Subject: hello\n\n", b"Subject: hello\n"])
@pytest.mark.parametrize("settings", [SETTINGS, MULTIPART])
def test_whoever_wants_no_copy_gets_the_header(settings: BounceSettings, message: bytes) -> None:
    text = b"".join(composed(wishing(b"RET=HDRS ", message=message), settings).pieces)

    assert b"--- Below this line is the header of the message.\n\n" in text
    assert b"\nReturn-Path: <joe@a.example>\nSubject: hello\n" in text
    assert b"there" not in text
    assert (b"\nContent-Type: text/rfc822-headers\n" in text) == settings.is_multipart


def test_a_message_without_header_leaves_an_empty_copy() -> None:
    text = b"".join(composed(wishing(b"RET=HDRS ", message=b"\nbody\n")).pieces)

    assert text.endswith(b"\nReturn-Path: <joe@a.example>\n")


def test_what_the_sender_called_message_and_recipient_is_told_to_programs() -> None:
    records = [b"ENVID=QQ+2B1 ", b"ORCPT=rfc822;Joe@example.net TO=joe@example.org"]

    text = b"".join(composed(wishing(*records), MULTIPART).pieces)

    assert b"\nOriginal-Envelope-Id: QQ+1\nReporting-MTA: " in text
    assert b"\nOriginal-Recipient: rfc822;Joe@example.net\nFinal-Recipient: rfc822; joe@" in text
    assert text.count(b"Original-Recipient") == 1


def test_line_ends_in_what_the_sender_called_them_begin_no_field() -> None:
    records = [b"ENVID=a+0AX:+0Db ", b"ORCPT=rfc822;a+0AX:+0Db TO=joe@example.org"]

    text = b"".join(composed(wishing(*records), MULTIPART).pieces)

    assert b"\nOriginal-Envelope-Id: a?X:?b\n" in text
    assert b"\nOriginal-Recipient: rfc822;a?X:?b\n" in text
