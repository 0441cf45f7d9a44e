"""Mail servers that others wrote receive what leaves a whole home of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.aiosmtpd_receiver import Aiosmtpd
from tests.support.bounces import failed_recipients
from tests.support.exim import Exim
from tests.support.opensmtpd import OpenSmtpd
from tests.support.postfix_receiver import PostfixReceiver
from tests.support.receivers import MAX_SIZE

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
to_who_turns_away = pytest.mark.parametrize("receiver", [Exim, PostfixReceiver], indirect=True)

BODY = (
    b"\n.\n..\n.dot\n \n"
    b"From here on\n"
    b"trailing blanks  \t\n"
    b"gr\xc3\xbc\xc3\x9fe, and latin \xe9\xe8\xff\n" + b"x" * 900 + b"\n\n.\n.\n"
)


@to_all
def test_a_letter_arrives_whole_and_once(site: Site) -> None:
    variants = site.receiver.open_variants
    for variant in variants:
        site.send(f"joe@{site.receiver.domain(variant)}", subject=f"to {variant}", body=BODY)

    messages = site.arrived(len(variants))

    assert [text.partition(b"\n\n")[2] for text in messages] == [BODY] * len(variants)
    for variant in variants:
        assert sum(b"\nSubject: to %b\n" % variant.encode() in text for text in messages) == 1
    assert site.home.mail("aku") == []


@to_all
def test_refused_recipients_come_back_and_the_others_get_it_once(site: Site) -> None:
    domain = site.receiver.domain("plain")

    site.send(*(f"{name}@{domain}" for name in ("joe", "stranger", "ann", "nobody")))
    site.arrived(2)
    (bounce,) = site.bounces()

    assert site.receiver.recipients() == [f"ann@{domain}", f"joe@{domain}"]
    failed = failed_recipients(bounce)
    assert {each.address for each in failed} == {f"stranger@{domain}", f"nobody@{domain}"}
    for each in failed:
        assert (each.action, each.status[0]) == ("failed", "5")
        assert each.diagnostic.startswith("smtp; 5")
    assert b"127.0.0.1 does not like recipient.\nRemote host said: 5" in bounce


@to_all
def test_a_letter_that_is_too_large_comes_back(site: Site) -> None:
    variants = site.receiver.open_variants

    for variant in variants:
        site.send(f"joe@{site.receiver.domain(variant)}", body=b"too much\n" * (MAX_SIZE // 8))
    bounces = site.bounces(len(variants))

    for bounce in bounces:
        (failed,) = failed_recipients(bounce)
        assert (failed.action, failed.status[0]) == ("failed", "5")
        # Who says how much he takes is not even asked; who does not, says so himself.
        assert (b"it takes %d bytes at most" % MAX_SIZE in bounce) != (
            b"Remote host said: 552 " in bounce
        )
    assert site.receiver.mail() == []


@pytest.mark.parametrize(
    ("receiver", "variant"),
    [(Exim, "plain"), (PostfixReceiver, "plain"), (Aiosmtpd, "tls")],
    indirect=["receiver"],
)
def test_an_internationalized_address_is_reached_where_that_is_offered(
    site: Site, variant: str
) -> None:
    domain = site.receiver.domain(variant)

    site.send(f"jörg@{domain}", f"joe@{domain}", body=BODY)
    messages = site.arrived(2)

    assert site.receiver.recipients() == [f"joe@{domain}", f"jörg@{domain}"]
    assert all(text.endswith(BODY) for text in messages)


@pytest.mark.parametrize(
    ("receiver", "variant"),
    [(Exim, "bare"), (PostfixReceiver, "bare"), (OpenSmtpd, "plain"), (Aiosmtpd, "plain")],
    indirect=["receiver"],
)
def test_an_internationalized_address_comes_back_with_the_reason_and_the_others_get_it(
    site: Site, variant: str
) -> None:
    domain = site.receiver.domain(variant)

    site.send(f"jörg@{domain}", f"joe@{domain}", body=BODY)
    site.arrived()
    (bounce,) = site.bounces()

    assert site.receiver.recipients() == [f"joe@{domain}"]
    words = b"127.0.0.1 does not take internationalized mail (SMTPUTF8), and this address is such."
    assert words in bounce


@to_who_turns_away
def test_who_is_turned_away_at_first_comes_back_later(site: Site) -> None:
    domain = site.receiver.domain("plain")
    site.send(f"grey@{domain}", f"joe@{domain}")
    site.wait_until_logged("Greylisted")
    site.home.wait(lambda: site.receiver.recipients() == [f"joe@{domain}"], "joe was turned away")

    site.retry()
    site.arrived(2)

    assert site.receiver.recipients() == [f"grey@{domain}", f"joe@{domain}"]
    assert "deferral: 127.0.0.1_does_not_like_recipient./Remote_host_said:_45" in site.log()
    assert site.home.mail("aku") == []
