from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.commands import Commands

pytestmark = pytest.mark.process


REQUEST = b"Notice-Requested-Upon-Delivery-To: Aku <aku@example.org>\n"


def test_a_notice_goes_to_the_sender_who_asked_for_one(commands: Commands) -> None:
    message = b"Message-ID: <m@x>\n" + REQUEST + b"\nhi\n"

    done = commands.run("qreceipt", "aku@example.org", message=message)

    assert (done.returncode, done.stderr) == (0, b"")
    ((notice, envelope),) = commands.queued()
    assert envelope == b"F\0Tsue@example.org\0\0"
    assert notice.startswith(b"From: DELIVERY NOTICE SYSTEM <sue@example.org>\n")
    assert notice.endswith(
        b"following address: aku@example.org. Thanks for asking.\nYour Message-ID: <m@x>\n"
    )


@pytest.mark.parametrize(
    "message",
    [
        b"\n" + REQUEST,
        b"Notice-Requested-Upon-Delivery-To: AKU@example.org\n\n",
        b"Notice-Requested-Upon-Delivery-To: <@r:aku@example.org>\n\n",
        b"",
    ],
)
def test_nobody_else_gets_one(commands: Commands, message: bytes) -> None:
    assert commands.run("qreceipt", "aku@example.org", message=message).returncode == 0
    assert commands.queued() == []


@pytest.mark.parametrize("sender", ["", "#@[]"])
def test_a_bounce_gets_none(commands: Commands, sender: str) -> None:
    commands.run("qreceipt", "aku@example.org", message=REQUEST, environ={"SENDER": sender})

    assert commands.queued() == []


def test_a_field_that_makes_no_sense_is_a_permanent_failure(commands: Commands) -> None:
    message = b"Notice-Requested-Upon-Delivery-To: (a\n\n"

    done = commands.run("qreceipt", "aku@example.org", message=message)

    text = b"qreceipt: fatal: unable to parse this: Notice-Requested-Upon-Delivery-To: (a\n"
    assert (done.returncode, done.stderr) == (100, text)
