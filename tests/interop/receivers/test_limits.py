"""Receivers with limits: recipients in a transaction, messages in a session, errors, sessions."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.support.aiosmtpd_receiver import Aiosmtpd
from tests.support.bounces import failed_recipients
from tests.support.exim import Exim
from tests.support.opensmtpd import OpenSmtpd
from tests.support.postfix_receiver import PostfixReceiver
from tests.support.receivers import KNOWN

from pyqmail.delivery.destinations import KEEP

if TYPE_CHECKING:
    from tests.support.receiving import Site

pytestmark = [
    pytest.mark.process,
    pytest.mark.peer,
    pytest.mark.xdist_group("receivers"),
]

to_all = pytest.mark.parametrize(
    "receiver", [Exim, PostfixReceiver, OpenSmtpd, Aiosmtpd], indirect=True
)
LETTERS = 16
AT_ONCE = 20  # as many as `concurrencyremote` allows; Exim takes 8 connections


@to_all
def test_each_of_many_recipients_gets_it_once_or_is_in_the_bounce(site: Site) -> None:
    domain = site.receiver.domain("plain")
    known = [f"{name}@{domain}" for name in KNOWN]
    unknown = [f"x{number}@{domain}" for number in range(len(KNOWN) // 3)]
    recipients = [*known, *unknown]
    random.Random(3).shuffle(recipients)

    site.send(*recipients)
    site.home.wait(lambda: bool(site.home.queued()), "it was not even queued")
    site.retry()
    site.arrived(len(known))
    (bounce,) = site.bounces()

    assert site.receiver.recipients() == sorted(known)
    failed = Counter(each.address for each in failed_recipients(bounce))
    assert failed == Counter(unknown)


@to_all
def test_many_letters_at_once_arrive_once_each(site: Site) -> None:
    address = f"joe@{site.receiver.domain('plain')}"

    for number in range(LETTERS):
        site.send(address, subject=f"letter {number}.")
    site.retry()
    messages = site.arrived(LETTERS)

    for number in range(LETTERS):
        assert sum(b"\nSubject: letter %d.\n" % number in text for text in messages) == 1
    assert site.home.mail("aku") == []


@pytest.mark.parametrize("receiver", [Exim], indirect=True)
def test_letters_that_are_turned_away_wait_for_the_connections_that_were_taken(site: Site) -> None:
    domain = site.receiver.domain("crowded")
    time.sleep(KEEP + 1)  # connections that are kept for its other ports would count

    # Of as many domains, so that none of them shares a transaction, or the slots of another.
    site.send(*(f"joe@d{number}.{domain}" for number in range(AT_ONCE)))
    site.arrived(AT_ONCE)

    assert "too many connections from that IP address" in site.receiver.log()
    assert site.log().count(": success: ") == AT_ONCE
    assert ": deferral: " not in site.log()
