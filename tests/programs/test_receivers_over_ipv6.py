"""Mail goes over IPv6: by exchangers, by address literals, by routes; never back to ourselves."""

from __future__ import annotations

import pytest
from tests.support.dns_stub import Table, dns_server
from tests.support.holding_host import HoldingHost
from tests.support.network import OURS, network_of_our_own, why_not
from tests.support.spawning import running, spawn_home

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

TABLE: Table = {
    ("six.example.", "MX"): ["10 mx.six.example."],
    ("mx.six.example.", "AAAA"): ["2001:db8::25"],
    ("host.example.", "AAAA"): ["2001:db8::26"],
    # Nobody listens at the first.
    ("both.example.", "MX"): ["10 four.example.", "20 mx.six.example."],
    ("four.example.", "A"): ["127.0.0.9"],
    ("twofold.example.", "A"): ["127.0.0.9"],
    ("twofold.example.", "AAAA"): ["2001:db8::27"],
    ("us.example.", "AAAA"): [OURS],
    ("ours.example.", "MX"): ["10 us.example."],
    ("loop.example.", "AAAA"): ["::1"],
    ("backup.example.", "MX"): ["10 mx.six.example.", "20 us.example.", "30 host.example."],
    ("behind.example.", "MX"): ["10 four.example.", "20 us.example.", "30 host.example."],
}
TAKEN = {
    b"six.example": b"2001:db8::25",
    b"host.example": b"2001:db8::26",
    b"both.example": b"2001:db8::25",
    b"twofold.example": b"2001:db8::27",
    b"backup.example": b"2001:db8::25",
    b"[IPv6:2001:db8::28]": b"2001:db8::28",
    b"[ipv6:2001:DB8:0:0::28]": b"2001:db8::28",
    b"routed.example": b"::1",
    b"sub.routed.example": b"2001:db8::29",
}
NOT_TAKEN = {
    b"ours.example": b"DSorry. Although I'm listed",
    b"loop.example": b"DSorry. Although I'm listed",
    b"[IPv6:::1]": b"DSorry. Although I'm listed",
    b"[IPv6:::]": b"DSorry. Although I'm listed",
    b"[IPv6:::ffff:127.0.0.1]": b"DSorry. Although I'm listed",
    b"[IPv6:%b]" % OURS.encode(): b"DSorry. Although I'm listed",
    b"behind.example": b"ZSorry, I wasn't able to establish an SMTP connection",
    # A link-local address says nothing without its link.
    b"[IPv6:fe80::25]": b"ZSorry, I wasn't able to establish an SMTP connection",
}


@pytest.fixture(scope="module")
def reports(launchers: str) -> dict[bytes, bytes]:
    """Return what qmail-rspawn reported of a recipient at each domain."""
    domains = [*TAKEN, *NOT_TAKEN]
    with (
        network_of_our_own(),
        dns_server(TABLE, "127.0.0.1", 0) as (dns, _),
        HoldingHost().running("::", 25) as exchanger,
        HoldingHost().running("::1", 0) as relay,
        spawn_home(launchers) as home,
    ):
        exchanger.go_on()
        relay.go_on()
        (home.path / "queue/lock").mkdir()
        (home.path / "queue/lock/tcpto").write_bytes(bytes(1024))
        (home.path / "control/me").write_text("me.example\n")
        (home.path / "control/resolver").write_text(f"127.0.0.1:{dns}\n")
        routes = f"routed.example:[::1]:{relay.port}\n.routed.example:[2001:db8::29]\n"
        (home.path / "control/smtproutes").write_text(routes)
        home.own()
        with running(home, "qmail-rspawn", PATH="/nowhere") as spawner:
            for slot, domain in enumerate(domains):
                spawner.deliver(slot, b"joe@" + domain)
            by_slot = spawner.reports(len(domains))
        assert len(exchanger.taken) + len(relay.taken) == len(TAKEN)
    return {domain: by_slot[slot] for slot, domain in enumerate(domains)}


@pytest.mark.parametrize("domain", list(TAKEN))
def test_a_message_goes_to_the_address_of_its_domain(
    reports: dict[bytes, bytes], domain: bytes
) -> None:
    said = b"K%b accepted message.\nRemote host said: 250 ok\n" % TAKEN[domain]

    assert reports[domain] == said


@pytest.mark.parametrize("domain", list(NOT_TAKEN))
def test_no_message_comes_back_to_us(reports: dict[bytes, bytes], domain: bytes) -> None:
    assert reports[domain].startswith(NOT_TAKEN[domain])
