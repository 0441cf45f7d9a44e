"""TLS and passwords with mail servers that others wrote: spoken, demanded, verified, refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.aiosmtpd_receiver import Aiosmtpd
from tests.support.exim import Exim
from tests.support.opensmtpd import OpenSmtpd
from tests.support.postfix_receiver import PostfixReceiver
from tests.support.receivers import LOGIN
from tests.support.receiving import decide

if TYPE_CHECKING:
    from tests.support.receiving import Site

pytestmark = [
    pytest.mark.process,
    pytest.mark.peer,
    pytest.mark.xdist_group("receivers"),
]

to_all = pytest.mark.parametrize("receiver", [Exim, PostfixReceiver, Aiosmtpd], indirect=True)
to_who_asks_for_passwords = pytest.mark.parametrize("receiver", [Exim, Aiosmtpd], indirect=True)
BROKEN_TLS = "Connected_to_127.0.0.1_but_TLS_failed:"
NO_TLS = "but_it_offers_no_TLS"


@to_all
def test_tls_is_spoken_where_it_is_offered(site: Site) -> None:
    site.send(f"joe@{site.receiver.domain('tls')}")

    (message,) = site.arrived()

    assert site.receiver.came_by_tls(message)


@pytest.mark.parametrize("receiver", [OpenSmtpd], indirect=True)
def test_who_offers_tls_gets_the_letter_even_if_that_does_not_work(site: Site) -> None:
    site.send(f"joe@{site.receiver.domain('tls')}")

    (message,) = site.arrived()

    assert site.receiver.came_by_tls(message) == site.receiver.speaks_tls()


@to_all
def test_none_means_that_it_is_not_spoken(site: Site) -> None:
    site.send(f"joe@{site.receiver.domain('tls', 'none')}")

    (message,) = site.arrived()

    assert not site.receiver.came_by_tls(message)


@to_all
def test_who_must_encrypt_and_cannot_gets_nothing_until_that_is_decided_otherwise(
    site: Site,
) -> None:
    domain = site.receiver.domain("plain", "must")
    site.send(f"joe@{domain}")
    site.wait_until_logged(f"deferral: Connected_to_127.0.0.1_{NO_TLS}")
    assert site.receiver.mail() == []

    site.add("tlspolicy", f"{domain}:may\n")
    site.retry()
    site.arrived()

    assert site.receiver.recipients() == [f"joe@{domain}"]


@to_all
def test_a_certificate_is_verified(site: Site) -> None:
    site.send(f"joe@{site.receiver.domain('tls', 'named')}")

    (message,) = site.arrived()

    assert site.receiver.came_by_tls(message)


@to_all
def test_whose_certificate_names_others_gets_nothing_until_that_is_mended(site: Site) -> None:
    domain = site.receiver.domain("tls", "misnamed")
    site.send(f"joe@{domain}")
    site.wait_until_logged(f"deferral: {BROKEN_TLS}_the_certificate_is_not_for_other.example")
    assert site.receiver.mail() == []

    site.add("tlspolicy", f"{domain}:verify:other.example:{site.receiver.domain('tls')}\n")
    site.retry()
    site.arrived()

    assert site.receiver.recipients() == [f"joe@{domain}"]


@to_all
def test_whose_authority_is_not_believed_gets_nothing_until_it_is(site: Site) -> None:
    domain = site.receiver.domain("tls", "unbelieved")
    site.believe(anybody=False)
    site.send(f"joe@{domain}")
    site.wait_until_logged(f"deferral: {BROKEN_TLS}_unable_to_get_local_issuer_certificate")
    assert site.receiver.mail() == []

    site.believe(anybody=True)
    site.retry()
    site.arrived()

    assert site.receiver.recipients() == [f"joe@{domain}"]


@to_who_asks_for_passwords
def test_a_relay_takes_mail_for_others_from_who_logs_in(site: Site) -> None:
    address = f"joe@{site.receiver.foreign_domain('relay')}"
    site.send(address)

    (message,) = site.arrived()

    assert site.receiver.recipients() == [address]
    assert site.receiver.came_by_tls(message)


@to_who_asks_for_passwords
def test_a_wrong_password_delays_the_mail_until_it_is_mended(site: Site) -> None:
    address = f"joe@{site.receiver.domain('mended')}"
    site.send(address)
    site.wait_until_logged(
        "deferral: Connected_to_127.0.0.1_but_my_login_failed./Remote_host_said:_535"
    )
    assert site.receiver.mail() == []

    site.add("smtproutes_auth", site.receiver.login("mended"))
    site.retry()
    site.arrived()

    assert site.receiver.recipients() == [address]


@to_who_asks_for_passwords
def test_without_a_login_a_relay_refuses_and_the_mail_comes_back(site: Site) -> None:
    site.send(f"joe@{site.receiver.foreign_domain('tls')}")

    (bounce,) = site.bounces()

    assert b"127.0.0.1 does not like recipient.\nRemote host said: 5" in bounce
    assert site.receiver.mail() == []


@pytest.mark.parametrize("receiver", [Aiosmtpd], indirect=True)
def test_who_demands_tls_and_a_password_before_all_else_gets_both(site: Site) -> None:
    site.send(f"joe@{site.receiver.domain('strict')}")

    (message,) = site.arrived()

    # `strict` knows LOGIN alone.
    assert b"\nX-Tls: True\nX-Login: us\nX-Mechanism: LOGIN\n" in message


@pytest.mark.parametrize("receiver", [Exim], indirect=True)
def test_a_password_is_not_shown_where_it_need_not_be(site: Site) -> None:
    site.send(f"joe@{site.receiver.domain('relay')}")

    site.arrived()

    assert f"A=cram:{LOGIN}" in site.receiver.log()


@pytest.mark.parametrize("receiver", [Exim], indirect=True)
def test_who_wants_to_see_our_certificate_sees_it(site: Site) -> None:
    recipient = f"joe@{site.receiver.domain('tls', 'certified')}"
    path = f"{site.home.path}/control/clientcert.pem"
    decide(site.home, "clientcert.pem", site.receiver.authority.issue_to_client("us.example"))
    try:
        site.send(recipient)
        site.arrived()
    finally:
        os.unlink(path)

    (line,) = (line for line in site.receiver.log().split("\n") if f" for {recipient}" in line)
    assert " CV=yes " in line
