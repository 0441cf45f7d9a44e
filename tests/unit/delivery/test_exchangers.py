from __future__ import annotations

import asyncio
import ipaddress
import random
from typing import TYPE_CHECKING

import pytest
from tests.support.dns_table import TableResolver

from pyqmail.delivery.exchangers import ascii_name, find_exchangers, find_relay, parse_literal
from pyqmail.delivery.remote_texts import (
    NO_ANSWER_FROM_DNS,
    NO_EXCHANGER,
    OURSELVES,
    Undeliverable,
    no_such_host,
)

if TYPE_CHECKING:
    from pyqmail.system.dns import Resolver

HOSTS = {
    b"a.example": ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
    b"b.example": ["192.0.2.3"],
    b"c.example": ["192.0.2.4"],
    b"me.example": ["192.0.2.99"],
    b"six.example": ["2001:db8::99"],
}
OWN = {ipaddress.ip_address(text).packed for text in ("192.0.2.99", "2001:db8::99")}


def find(resolver: Resolver, host: bytes = b"d.example", seed: int = 0) -> list[str]:
    shuffle = random.Random(seed).shuffle
    found = asyncio.run(find_exchangers(host, resolver, OWN, shuffle))
    return [str(each.address) for each in found]


def found_with(*exchangers: tuple[int, bytes], broken: tuple[bytes, str] = (b"", "")) -> list[str]:
    return find(TableResolver(HOSTS, {b"d.example": list(exchangers)}, frozenset({broken})))


def report_with(*exchangers: tuple[int, bytes], broken: tuple[bytes, str] = (b"", "")) -> bytes:
    with pytest.raises(Undeliverable) as failure:
        found_with(*exchangers, broken=broken)
    return failure.value.report


def test_the_lowest_preference_comes_first() -> None:
    assert found_with((20, b"b.example"), (10, b"c.example")) == ["192.0.2.4", "192.0.2.3"]


def test_all_addresses_of_a_host_are_tried() -> None:
    assert set(found_with((10, b"a.example"))) == {"192.0.2.1", "192.0.2.2", "2001:db8::1"}


def test_equals_are_tried_in_random_order() -> None:
    resolver = TableResolver(HOSTS, {b"d.example": [(10, b"b.example"), (10, b"c.example")]})

    firsts = {find(resolver, seed=seed)[0] for seed in range(20)}

    assert firsts == {"192.0.2.3", "192.0.2.4"}


def test_an_address_is_tried_once() -> None:
    assert found_with((10, b"b.example"), (20, b"b.example")) == ["192.0.2.3"]


def test_a_host_without_exchangers_takes_its_own_mail() -> None:
    assert find(TableResolver(HOSTS), b"b.example") == ["192.0.2.3"]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        (b"192.0.2.7", "192.0.2.7"),
        (b"[192.0.2.7]", "192.0.2.7"),
        (b"[IPv6:2001:db8::7]", "2001:db8::7"),
        (b"[2001:db8::7]", "2001:db8::7"),
    ],
)
def test_a_literal_is_an_address(host: bytes, address: str) -> None:
    assert find(TableResolver(), host) == [address]


@pytest.mark.parametrize(
    "host", [b"192.0.2", b"192.0.2.256", b"[x]", b"::1", b"[", b"", b"1.2.3.4."]
)
def test_anything_else_is_a_name(host: bytes) -> None:
    assert parse_literal(host) is None


def test_only_those_before_ourselves_are_tried() -> None:
    exchangers = ((10, b"b.example"), (20, b"me.example"), (20, b"c.example"), (30, b"a.example"))

    assert found_with(*exchangers) == ["192.0.2.3"]


@pytest.mark.parametrize("ours", [b"me.example", b"six.example"])
def test_mail_that_would_come_back_is_refused(ours: bytes) -> None:
    assert report_with((10, ours), (20, b"b.example")) == OURSELVES


@pytest.mark.parametrize("host", [b"[192.0.2.99]", b"0.0.0.0", b"[::]", b"[::ffff:192.0.2.99]"])
def test_our_own_addresses_are_ourselves(host: bytes) -> None:
    with pytest.raises(Undeliverable) as failure:
        find(TableResolver(), host)

    assert failure.value.report == OURSELVES


def test_we_are_not_the_best_where_a_better_one_is_only_unknown_for_now() -> None:
    exchangers = ((10, b"b.example"), (20, b"me.example"))

    assert report_with(*exchangers, broken=(b"b.example", "A")) == NO_ANSWER_FROM_DNS


def test_one_exchanger_that_is_unknown_for_now_does_not_hide_the_others() -> None:
    exchangers = ((10, b"b.example"), (20, b"c.example"))

    assert found_with(*exchangers, broken=(b"b.example", "A")) == ["192.0.2.4"]


def test_a_host_whose_ipv6_address_is_unknown_for_now_is_reached_by_ipv4() -> None:
    assert found_with((10, b"b.example"), broken=(b"b.example", "AAAA")) == ["192.0.2.3"]


def test_exchangers_without_addresses_are_none() -> None:
    assert report_with((10, b"none.example")) == NO_EXCHANGER


def test_a_domain_with_a_null_mx_takes_no_mail() -> None:
    assert report_with((0, b"")) == NO_EXCHANGER


@pytest.mark.parametrize("kind", ["MX", "A"])
def test_a_dns_that_does_not_answer_delays_the_mail(kind: str) -> None:
    resolver = TableResolver(HOSTS, broken=frozenset({(b"b.example", kind)}))

    with pytest.raises(Undeliverable) as failure:
        find(resolver, b"b.example")

    assert failure.value.report == NO_ANSWER_FROM_DNS


def test_a_name_that_nobody_knows_is_shown_without_odd_bytes() -> None:
    with pytest.raises(Undeliverable) as failure:
        find(TableResolver(), b"no such\xff")

    assert failure.value.report == no_such_host(b"no such\xff")
    assert b"named no?such?. (#5.1.2)" in failure.value.report


def test_the_exchangers_of_a_relay_do_not_count() -> None:
    resolver = TableResolver(HOSTS, {b"me.example": [(10, b"b.example")]})

    assert list(map(str, asyncio.run(find_relay(b"me.example", resolver)))) == ["192.0.2.99"]


@pytest.mark.parametrize(
    ("host", "report"),
    [(b"gone.example", no_such_host(b"gone.example")), (b"b", NO_ANSWER_FROM_DNS)],
)
def test_a_relay_that_is_not_found(host: bytes, report: bytes) -> None:
    with pytest.raises(Undeliverable) as failure:
        asyncio.run(find_relay(host, TableResolver(broken=frozenset({(b"b", "A")}))))

    assert failure.value.report == report


def test_an_internationalised_name_is_asked_for_in_ascii() -> None:
    assert ascii_name("bücher.example".encode()) == b"xn--bcher-kva.example"
    assert ascii_name(b"\xff.example") == b"\xff.example"
