"""What receivers report later finds its way back to who has sent the letter."""

from __future__ import annotations

import email
from typing import TYPE_CHECKING

import pytest
from tests.support.aiosmtpd_receiver import Aiosmtpd
from tests.support.exim import Exim
from tests.support.opensmtpd import OpenSmtpd
from tests.support.postfix_receiver import PostfixReceiver
from tests.support.receiving import SENDER

from pyqmail.queue.client import QueueClient

if TYPE_CHECKING:
    from email.message import Message

    from tests.support.receiving import Site

pytestmark = [
    pytest.mark.process,
    pytest.mark.peer,
    pytest.mark.xdist_group("receivers"),
]

ENVELOPE_ID = "QQ314159"


def send_with_wishes(site: Site, recipient: str) -> None:
    """Queue a letter whose sender wants to hear of success, as qmail-smtpd queues one."""
    client = QueueClient({b"QMAILHOME": site.home.path.encode()})
    client.write(f"From: {SENDER}\nTo: {recipient}\nSubject: x\n\nhello\n".encode())
    client.commit(
        SENDER.encode(),
        [recipient.encode()],
        [
            b"RET=HDRS ENVID=%b" % ENVELOPE_ID.encode(),
            b"NOTIFY=SUCCESS ORCPT=rfc822;was-%b TO=%b" % ((recipient.encode(),) * 2),
        ],
    )


def delivery_status(report: bytes) -> tuple[Message, Message]:
    """Return the fields about the message, and those about its one recipient."""
    message = email.message_from_bytes(report)
    (status,) = (part for part in message.walk() if "delivery-status" in part.get_content_type())
    about_message, about_recipient = status.get_payload()
    return about_message, about_recipient


@pytest.mark.parametrize(
    ("receiver", "variant", "action"),
    [
        (Exim, "plain", "delivered"),
        (PostfixReceiver, "plain", "delivered"),
        (OpenSmtpd, "plain", "delivered"),
        (PostfixReceiver, "bare", "relayed"),
        (Aiosmtpd, "plain", "relayed"),
    ],
    indirect=["receiver"],
)
def test_success_is_told_once_by_who_knows_of_it(site: Site, variant: str, action: str) -> None:
    recipient = f"joe@{site.receiver.domain(variant)}"
    send_with_wishes(site, recipient)

    site.arrived()
    (report,) = site.bounces()

    about_message, about_recipient = delivery_status(report)
    assert about_recipient["Action"].partition(" ")[0] == action
    assert about_recipient["Status"].startswith("2.")
    assert about_recipient["Final-Recipient"].replace(" ", "").lower() == f"rfc822;{recipient}"
    if site.receiver.tells_original:
        original = about_recipient["Original-Recipient"].replace(" ", "")
        assert original == f"rfc822;was-{recipient}"
        assert about_message["Original-Envelope-Id"] == ENVELOPE_ID
    assert ("mail.example.org" in about_message["Reporting-MTA"]) == (action == "relayed")


@pytest.mark.parametrize("receiver", [Exim, PostfixReceiver], indirect=True)
def test_a_bounce_of_the_receiver_reaches_the_sender(site: Site) -> None:
    recipient = f"late@{site.receiver.domain('plain')}"
    site.send(recipient)

    (report,) = site.bounces()

    _, about_recipient = delivery_status(report)
    assert about_recipient["Action"] == "failed"
    assert (
        recipient in f"{about_recipient['Final-Recipient']} {about_recipient['Original-Recipient']}"
    )
    assert "accepted_message./Remote_host_said:_250" in site.log()
