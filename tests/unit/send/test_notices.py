"""Notices of success and delay: to whom they go, and what they say."""

from __future__ import annotations

from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest

from pyqmail.message.delivery_status import DELAYED, DELIVERED, EXPANDED, RELAYED, Action
from pyqmail.message.wishes import Wishes
from pyqmail.protocol.spawn import PASSED_ON
from pyqmail.send.bounces import BounceMessage, BounceSettings
from pyqmail.send.events import Tell
from pyqmail.send.notices import compose, is_told, is_wanted, success

if TYPE_CHECKING:
    from email.message import Message

    from pyqmail.queue.store import Channel

SETTINGS = BounceSettings(
    b"MAILER-DAEMON", b"b.example", b"postmaster@b.example", is_multipart=False, bouncemaxbytes=0
)
MESSAGE = b"Subject: hello\nX: y\n\nthere\n"
WISHES = Wishes.of_records(
    [
        b"RET=FULL ENVID=QQ+2B1 ",
        b"NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Ann+40far.example TO=ann@b.example",
    ]
)


def tell(
    action: Action = DELIVERED,
    text: bytes = b"did 1+0+0\n",
    reverse_path: bytes = b"joe@a.example",
    retry_until: int | None = None,
) -> Tell:
    return Tell(1, 457, reverse_path, b"ann@b.example", text, action, retry_until)


def notice(of: Tell) -> BounceMessage:
    return compose(of, WISHES, SETTINGS, arrival=0, read=lambda: (MESSAGE,), now=86400)


def parts(of: Tell) -> tuple[Message, str, Message, str]:
    """Return the notice, its text, its fields about the recipient, and its copy."""
    message = message_from_bytes(b"".join(notice(of).pieces))
    text, status, copy = message.get_payload()
    return message, text.get_payload(), status.get_payload()[1], copy.get_payload()


@pytest.mark.parametrize(
    ("channel", "text", "action"),
    [
        ("local", b"did 1+0+0\n", DELIVERED),
        ("local", b"out of a program\ndid 0+2+1\n", DELIVERED),
        ("local", b"did 0+0+0\n", DELIVERED),
        ("local", b"did 0+1+0\n", RELAYED),
        ("local", b"did 0+12+0\nqp 20345\n", EXPANDED),
        ("local", b"did 1+0+0\ndid 0+1+0\nqp 20345\n", RELAYED),
        ("local", b"a program of somebody else says so", DELIVERED),
        ("local", b"did 0+one+0\n", DELIVERED),
        ("local", b"", DELIVERED),
        ("remote", b"192.0.2.7 accepted message.\nRemote host said: 250 ok\n", RELAYED),
        ("remote", b"did 0+12+0\n", RELAYED),
        ("remote", b"192.0.2.7 accepted message.\n" + PASSED_ON, None),
    ],
)
def test_what_a_success_was(channel: Channel, text: bytes, action: Action | None) -> None:
    assert success(channel, text) is action


def test_a_notice_goes_to_the_sender_from_nobody() -> None:
    told = notice(tell())

    assert (told.reverse_path, told.forward_path) == (b"", b"joe@a.example")


def test_the_owner_of_a_list_gets_the_notice() -> None:
    assert notice(tell(reverse_path=b"owner-@a.example-@[]")).forward_path == b"owner-@a.example"


@pytest.mark.parametrize("reverse_path", [b"", b"#@[]", b"-@[]"])
def test_nobody_is_told_where_there_is_no_sender(reverse_path: bytes) -> None:
    assert not is_told(reverse_path)


def test_only_what_was_asked_for_is_wanted() -> None:
    only_delay = Wishes.of_records([b"NOTIFY=DELAY TO=ann@b.example"])

    assert is_wanted(tell(), WISHES)
    assert is_wanted(tell(DELAYED), WISHES)
    assert not is_wanted(tell(), only_delay)
    assert is_wanted(tell(DELAYED), only_delay)
    assert not is_wanted(tell(), Wishes.of_records([b"NOTIFY=SUCCESS TO=bob@b.example"]))


def test_a_notice_is_no_bounce_for_those_who_know_bounces_by_their_first_words() -> None:
    message, text, _, _ = parts(tell())

    assert not text.startswith("Hi. This is the")
    assert message["Subject"] == "delivery notice"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["To"] == "joe@a.example"


def test_the_fields_say_what_became_of_the_recipient_in_the_senders_words() -> None:
    message, text, fields, _ = parts(tell())

    about_message = message.get_payload()[1].get_payload()[0]
    assert about_message["Original-Envelope-Id"] == "QQ+1"
    assert "<ann@b.example>:\ndid 1+0+0\n" in text
    assert fields["Original-Recipient"] == "rfc822;Ann@far.example"
    assert fields["Final-Recipient"] == "rfc822; ann@b.example"
    assert (fields["Action"], fields["Status"]) == ("delivered", "2.0.0")


def test_only_the_header_section_comes_back_whatever_ret_says() -> None:
    message, _, _, copy = parts(tell())

    assert message.get_payload()[2].get_content_type() == "text/rfc822-headers"
    assert copy == "Return-Path: <joe@a.example>\nSubject: hello\nX: y\n"


def test_a_relayed_message_has_the_answer_of_the_host() -> None:
    said = b"192.0.2.7 accepted message.\nRemote host said: 250 2.1.5 ok, and 5.1.1 is no code\n"
    _, _, fields, _ = parts(tell(RELAYED, said))

    assert (fields["Action"], fields["Status"]) == ("relayed", "2.1.5")
    assert fields["Remote-MTA"] == "dns; [192.0.2.7]"
    assert fields["Diagnostic-Code"] == "smtp; 250 2.1.5 ok, and 5.1.1 is no code"


def test_a_delay_has_a_transient_status_and_an_end() -> None:
    said = b"Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"
    message, text, fields, _ = parts(tell(DELAYED, said, retry_until=604800))

    assert message["Subject"] == "delay notice"
    assert (fields["Action"], fields["Status"]) == ("delayed", "4.4.1")
    assert fields["Will-Retry-Until"] == "8 Jan 1970 00:00:00 -0000"
    assert "until 8 Jan 1970 00:00:00 -0000.\n" in text


def test_a_delay_never_has_the_status_of_a_failure_or_a_success() -> None:
    for text in (b"no (#5.1.1)", b"Remote host said: 250 2.1.5 ok", b""):
        assert parts(tell(DELAYED, text, retry_until=1))[2]["Status"] == "4.0.0"
