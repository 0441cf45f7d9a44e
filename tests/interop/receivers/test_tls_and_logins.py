"""TLS and passwords with mail servers that others wrote: spoken, demanded, verified, refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.aiosmtpd_receiver import Aiosmtpd
from tests.support.exim import Exim
from tests.support.opensmtpd import OpenSmtpd
from tests.support.postfix_receiver import PostfixReceiver
from tests.support.receivers import LOGIN, PASSWORD

if TYPE_CHECKING:
    from tests.support.receiving import Site

pytestmark = [
    pytest.mark.process,
    pytest.mark.peer,
    pytest.mark.xdist_group("receivers"),
]

to_all = pytest.mark.parametrize("receiver", [Exim, PostfixReceiver, Aiosmtpd], indirect=True)
to_who_asks_for_passwords = pytest.mark.parametrize("receiver", [Exim, Aiosmtpd], indirect=True)
FAR = "joe@far.example"  # whom only who has logged in may write to, over a receiver
NO_TLS = "but_it_offers_no_TLS,_which_control/tlspolicy_demands"


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
    domain = site.receiver.domain("tls")
    site.decide("tlspolicy", f"{domain}:none\n")
    site.send(f"joe@{domain}")

    (message,) = site.arrived()

    assert not site.receiver.came_by_tls(message)


@to_all
def test_who_must_encrypt_and_cannot_gets_nothing_until_that_is_decided_otherwise(
    site: Site,
) -> None:
    domain = site.receiver.domain("plain")
    site.decide("tlspolicy", ":encrypt\n")
    site.send(f"joe@{domain}")
    site.wait_for_log(f"deferral: Connected_to_127.0.0.1_{NO_TLS}")
    assert site.receiver.mail() == []

    site.decide("tlspolicy", f"{domain}:may\n:encrypt\n")
    site.retry()
    site.arrived()

    assert site.receiver.recipients() == [f"joe@{domain}"]


@to_all
def test_a_certificate_is_verified(site: Site) -> None:
    domain = site.receiver.domain("tls")
    site.decide("tlspolicy", f"{domain}:verify:{domain}\n")
    site.decide("serverca.pem", site.receiver.authority.certificate())
    site.send(f"joe@{domain}")

    (message,) = site.arrived()

    assert site.receiver.came_by_tls(message)


@to_all
@pytest.mark.parametrize(
    ("names", "believes", "words"),
    [
        ("other.example", True, "the_certificate_is_not_for_other.example"),
        # Such names as nobody has asked for before: a connection that is kept was verified once.
        ("tls.{name}.example:x", False, "unable_to_get_local_issuer_certificate"),
    ],
    ids=["name", "authority"],
)
def test_who_cannot_be_verified_gets_nothing_until_that_is_mended(
    site: Site, names: str, words: str, *, believes: bool
) -> None:
    domain = site.receiver.domain("tls")
    site.decide("tlspolicy", f"{domain}:verify:{names.format(name=site.receiver.name)}\n")
    if believes:
        site.decide("serverca.pem", site.receiver.authority.certificate())
    site.send(f"joe@{domain}")
    site.wait_for_log(f"deferral: Connected_to_127.0.0.1_but_TLS_failed:_{words}")
    assert site.receiver.mail() == []

    site.decide("tlspolicy", f"{domain}:verify:{domain}\n")
    site.decide("serverca.pem", site.receiver.authority.certificate())
    site.retry()
    site.arrived()

    assert site.receiver.recipients() == [f"joe@{domain}"]


def to_a_relay(site: Site, password: str, variant: str = "tls") -> None:
    site.route({"far.example": site.receiver.ports[variant]})
    site.decide("smtproutes_auth", f"127.0.0.1 {LOGIN} {password}\n")
    site.decide("serverca.pem", site.receiver.authority.certificate())


@to_who_asks_for_passwords
def test_a_relay_takes_mail_for_others_from_who_logs_in(site: Site) -> None:
    to_a_relay(site, PASSWORD)
    site.send(FAR)

    (message,) = site.arrived()

    assert site.receiver.recipients() == [FAR]
    assert site.receiver.came_by_tls(message)


@to_who_asks_for_passwords
def test_a_wrong_password_delays_the_mail_until_it_is_mended(site: Site) -> None:
    to_a_relay(site, "wrong")
    site.send(FAR)
    site.wait_for_log("deferral: Connected_to_127.0.0.1_but_my_login_failed./Remote_host_said:_535")
    assert site.receiver.mail() == []

    to_a_relay(site, PASSWORD)
    site.retry()
    site.arrived()

    assert site.receiver.recipients() == [FAR]


@to_who_asks_for_passwords
def test_without_a_password_a_relay_refuses_and_the_mail_comes_back(site: Site) -> None:
    site.route({"far.example": site.receiver.ports["tls"]})
    site.send(FAR)

    (bounce,) = site.bounces()

    assert b"127.0.0.1 does not like recipient.\nRemote host said: 5" in bounce
    assert site.receiver.mail() == []


@pytest.mark.parametrize("receiver", [Aiosmtpd], indirect=True)
def test_who_demands_tls_and_a_password_before_all_else_gets_both(site: Site) -> None:
    to_a_relay(site, PASSWORD, "strict")
    site.send(FAR)

    (message,) = site.arrived()

    assert b"\nX-Tls: True\nX-Login: us\n" in message
    # `strict` knows LOGIN alone, `tls` more than that.
    assert b"\nX-Mechanism: LOGIN\n" in message


@pytest.mark.parametrize("receiver", [Exim], indirect=True)
def test_a_password_is_not_shown_where_it_need_not_be(site: Site) -> None:
    to_a_relay(site, PASSWORD)
    site.send(FAR)

    site.arrived()

    assert f"A=cram:{LOGIN}" in site.receiver.log()
