"""Bounces of a whole running home: who gets them, in which form, and how they end."""

from __future__ import annotations

import re
from contextlib import contextmanager
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest
from tests.support.private_home import HOST, PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

NOBODY_HERE = "Sorry, no mailbox here by that name. (#5.1.1)\n"


@contextmanager
def running_home(files: dict[str, str] | None = None, **controls: str) -> Iterator[PrivateHome]:
    """Give a running home with the users aku and kamu, `files` in theirs, and `controls`."""
    with PrivateHome("aku", "kamu") as home:
        for name, text in controls.items():
            home.write(f"control/{name}", text + "\n")
        for name, text in (files or {}).items():
            home.write(f"home/{name}", text)
        home.start()
        yield home


def the_only_mail(home: PrivateHome, user: str) -> bytes:
    home.wait_until_empty()
    (message,) = home.mail(user)
    return message


def parts_of(bounce: bytes) -> tuple[Message, list[Message], Message]:
    """Return text, the groups of fields for programs, and message of a multipart report."""
    report = message_from_bytes(bounce)
    assert report.get_content_type() == "multipart/report"
    text, status, copy = report.get_payload()
    return text, status.get_payload(), copy.get_payload()[0]


def test_the_sender_gets_text_status_and_message() -> None:
    with running_home() as home:
        home.inject(b"to: nobody, aku-nix\nsubject: hello\n\nthere\n", "-fkamu@" + HOST)

        text, status, copy = parts_of(the_only_mail(home, "kamu"))

    whole, *recipients = status
    assert text.get_payload().startswith(
        f"Hi. This is the qmail-send program at {HOST}.\nI'm afraid I wasn't able"
    )
    assert f"<nobody@{HOST}>:\n{NOBODY_HERE}\n" in text.get_payload()
    assert text.get_payload().endswith("--- Below this line is a copy of the message.\n\n")
    assert whole["Reporting-MTA"] == f"dns; {HOST}"
    assert whole["Arrival-Date"] in copy["Received"]
    assert sorted(fields["Final-Recipient"] for fields in recipients) == [
        f"rfc822; aku-nix@{HOST}",
        f"rfc822; nobody@{HOST}",
    ]
    assert [(fields["Action"], fields["Status"]) for fields in recipients] == [
        ("failed", "5.1.1"),
        ("failed", "5.1.1"),
    ]
    assert copy["Return-Path"] == f"<kamu@{HOST}>"
    assert copy["subject"] == "hello"
    assert copy.get_payload() == "there\n"


def test_qsbmf_gives_the_bytes_of_the_original() -> None:
    with running_home(bounceformat="qsbmf") as home:
        home.inject(b"to: nobody\n\nthere\n", "-fkamu@" + HOST)

        bounce = the_only_mail(home, "kamu").decode()

    received = r"Received: \(qmail \d+ (invoked [a-z0-9 ]+)\); [^\n]+\n"
    assert re.fullmatch(
        f"Return-Path: <>\nDelivered-To: kamu@{HOST}\n{received}"
        rf"Date: [^\n]+ -0000\nFrom: MAILER-DAEMON@{HOST}\nTo: kamu@{HOST}\n"
        "Subject: failure notice\n\n"
        f"Hi. This is the qmail-send program at {HOST}.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        rf"<nobody@{HOST}>:\nSorry, no mailbox here by that name. \(#5.1.1\)\n\n"
        "--- Below this line is a copy of the message.\n\n"
        f"Return-Path: <kamu@{HOST}>\n{received}"
        rf"Date: [^\n]+\nMessage-ID: <[^\n]+>\nFrom: [^\n]+\nto: nobody@{HOST}\n\nthere\n",
        bounce,
    )


@pytest.mark.parametrize("form", ["multipart", "qsbmf"])
def test_a_long_message_comes_back_as_far_as_bouncemaxbytes(form: str) -> None:
    with running_home(bounceformat=form, bouncemaxbytes="1000") as home:
        home.inject(b"to: nobody\n\n" + b"a line of text\n" * 10_000, "-fkamu@" + HOST)

        bounce = the_only_mail(home, "kamu")

    assert re.search(
        rb"\nIt is too long to .*: these are the first 1000 of its \d+ bytes.\n", bounce
    )
    copy = bounce.partition(b"\nReturn-Path: <kamu@%b>\n" % HOST.encode())[2]
    assert len(copy.partition(b"\n--")[0]) == 1000


def test_bouncefrom_and_bouncehost_are_the_author() -> None:
    with running_home(bouncefrom="no reply", bouncehost="b.example") as home:
        home.inject(b"to: nobody\n\n", "-fkamu@" + HOST)

        bounce = message_from_bytes(the_only_mail(home, "kamu"))

    assert bounce["From"] == '"no reply"@b.example'
    assert bounce["Message-ID"].endswith(".qmail@b.example>")
    assert "qmail-send program at b.example.\n" in bounce.get_payload()[0].get_payload()


@pytest.mark.parametrize("form", ["multipart", "qsbmf"])
def test_a_failed_bounce_becomes_a_double_bounce(form: str) -> None:
    with running_home(bounceformat=form, doublebounceto="kamu") as home:
        home.inject(b"to: nobody\nsubject: first\n\n", "-fgone@" + HOST)

        double = the_only_mail(home, "kamu")

        log = home.log()
    assert double.startswith(b"Return-Path: <#@[]>\n")
    assert (
        b"\nI tried to deliver a bounce message to this address, but the bounce bounced!\n"
        in double
    )
    assert b"\n<gone@%b>:\n" % HOST.encode() in double
    assert b"\n--- Below this line is the original bounce.\n\n" in double
    assert double.count(b"\nSubject: failure notice\n") == 2
    assert b"\nsubject: first\n" in double
    assert re.findall(r" from (<.*>) qp ", log) == [f"<gone@{HOST}>", "<>", "<#@[]>"]
    assert log.count("bounce msg") == 2


def test_a_message_from_nobody_bounces_to_the_postmaster() -> None:
    with running_home(doublebouncehost=HOST) as home:
        home.inject(b"to: nobody\n\n", "-f", "")
        home.wait_until_empty()

        with open(f"{home.path}/alias/Mailbox", "rb") as file:
            entry = file.read()

    assert entry.startswith(b"From #@[] ")
    assert b"\nDelivered-To: postmaster@%b\n" % HOST.encode() in entry
    assert b"\n<nobody@%b>:\n" % HOST.encode() in entry


def test_a_failed_double_bounce_is_the_end() -> None:
    with running_home(doublebounceto="gone-too") as home:
        home.inject(b"to: nobody\n\n", "-fgone@" + HOST)
        home.wait_until_logged("triple bounce: discarding bounce/")
        home.wait_until_empty()

        log = home.log()
        mail = home.mail("aku") + home.mail("kamu")
    assert re.findall(r" to local (\S+)@", log) == ["nobody", "gone", "gone-too"]
    assert log.count("bounce msg") == 2
    assert log.count("end msg") == 3
    assert mail == []


LIST = {
    "aku/.qmail-list": f"&nobody@{HOST}\n&kamu@{HOST}\n",
    "aku/.qmail-list-owner": "./Maildir/\n",
    "aku/.qmail-list-owner-default": "./Maildir/\n",
    "kamu/.qmail": f"&moved@{HOST}\n",
}


def test_the_bounce_for_a_member_of_a_list_goes_to_the_owner() -> None:
    with running_home(LIST) as home:
        home.inject(b"to: aku-list\nsubject: news\n\n", "-fkamu@" + HOST)
        home.wait_until_empty()

        by_recipient = {}
        for bounce in home.mail("aku"):
            _, status, copy = parts_of(bounce)
            assert copy["subject"] == "news"
            delivered_to = message_from_bytes(bounce)["Delivered-To"]
            by_recipient[delivered_to] = status[1]["Final-Recipient"]

    # Who fails at once is named in the text; who fails farther on, in the address.
    assert by_recipient == {
        f"aku-list-owner-@{HOST}": f"rfc822; nobody@{HOST}",
        f"aku-list-owner-kamu={HOST}@{HOST}": f"rfc822; moved@{HOST}",
    }


def test_an_address_beyond_ascii_is_told_as_it_is() -> None:
    with running_home() as home:
        home.inject("to: büro@mail.example.org\n\n".encode(), "-fkamu@" + HOST)

        report = message_from_bytes(the_only_mail(home, "kamu"))

    status = report.get_payload()[1]
    assert status.get_content_type() == "message/global-delivery-status"
    assert f"\nFinal-Recipient: utf-8; büro@{HOST}\n".encode() in status.as_bytes()


def test_any_bytes_come_back_unchanged_and_are_labelled() -> None:
    body = b"NUL \0, no UTF-8 \xfc, CR \r alone, and " + b"a long line " * 1000
    with running_home() as home:
        home.inject(b"to: nobody\n\n" + body, "-fkamu@" + HOST)

        bounce = the_only_mail(home, "kamu")

    report = message_from_bytes(bounce)
    copy = report.get_payload()[2]
    assert report["Content-Transfer-Encoding"] == copy["Content-Transfer-Encoding"] == "binary"
    assert b"\n\n" + body + b"\n\n--" + report.get_boundary().encode() + b"--\n" in bounce


def test_a_program_that_fails_tells_the_sender_why_and_cannot_forge_more() -> None:
    forged = rf"Closed. (#5.7.1)\r\n\r\n<aku@{HOST}>:\r\rStatus: 2.0.0\n\n<x@y>:\nok"
    with running_home({"aku/.qmail": f"|printf '{forged}'; exit 100\n"}) as home:
        home.inject(b"to: aku\n\n", "-fkamu@" + HOST)

        text, status, _ = parts_of(the_only_mail(home, "kamu"))

    assert text.get_payload().count("\n\n") == 3
    assert [fields["Status"] for fields in status[1:]] == ["5.7.1"]
    assert [fields["Final-Recipient"] for fields in status[1:]] == [f"rfc822; aku@{HOST}"]


def test_a_message_of_megabytes_is_returned_in_little_memory() -> None:
    with running_home() as home:
        home.inject(b"to: nobody\n\nsmall\n", "-fkamu@" + HOST)
        home.wait_until_empty()
        (sender,) = home.processes("qmail-send")
        before = peak_memory(sender)

        home.inject(b"to: nobody\n\n" + b"a line of text\n" * 3_000_000, "-fkamu@" + HOST)
        home.wait_until_empty()

        assert max(map(len, home.mail("kamu"))) > 45_000_000
        assert peak_memory(sender) - before < 4_000


def peak_memory(pid: int) -> int:
    """Return the most memory that a process has had, in kB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1])
