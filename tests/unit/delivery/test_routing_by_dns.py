"""Where mail goes, as a name server on loopback says it, and what its silence leads to."""

from __future__ import annotations

import asyncio
import ipaddress
import random
from typing import TYPE_CHECKING

import pytest
from tests.support.dns_stub import REFUSED, SERVER_FAILURE, SILENCE, TRUNCATED, Table, dns_server

from pyqmail.delivery.exchangers import find_exchangers, find_relay
from pyqmail.delivery.remote_texts import (
    NO_ANSWER_FROM_DNS,
    NO_EXCHANGER,
    OURSELVES,
    Undeliverable,
    no_such_host,
)
from pyqmail.system import dns
from pyqmail.system.dns import DnsResolver

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = [f"{number} mx{number}.example." for number in range(60)]
TABLE: Table = {
    ("plain.example.", "MX"): ["20 mx2.example.", "10 mx1.example."],
    **{(f"mx{number}.example.", "A"): [f"192.0.2.{number}"] for number in range(60)},
    ("host.example.", "A"): ["192.0.2.99"],
    ("six.example.", "AAAA"): ["2001:db8::1"],
    ("null.example.", "MX"): ["0 ."],
    ("null.example.", "A"): ["192.0.2.99"],
    ("halfnull.example.", "MX"): ["0 .", "10 mx1.example."],
    ("alias.example.", "CNAME"): ["plain.example."],
    ("hostalias.example.", "CNAME"): ["host.example."],
    ("dangling.example.", "CNAME"): ["gone.example."],
    ("mxalias.example.", "MX"): ["10 hostalias.example."],
    ("literal.example.", "MX"): ["10 192.0.2.77."],
    ("local.example.", "MX"): ["10 localhost."],
    ("localhost.", "A"): ["127.0.0.1"],
    ("zero.example.", "A"): ["0.0.0.0"],
    ("backup.example.", "MX"): ["10 mx1.example.", "20 localhost.", "30 mx2.example."],
    ("odd.example.", "MX"): ["10 gone.example.", "20 mx2.example."],
    ("servfail.example.", "MX"): [SERVER_FAILURE],
    ("refused.example.", "MX"): [REFUSED],
    ("silent.example.", "MX"): [SILENCE],
    ("mailonly.example.", "A"): [SERVER_FAILURE],
    ("half.example.", "MX"): ["10 broken.example.", "20 mx2.example."],
    ("halfours.example.", "MX"): ["10 broken.example.", "20 localhost."],
    ("broken.example.", "A"): [SERVER_FAILURE],
    ("long.example.", "MX"): [TRUNCATED, *MANY],
    ("mx.long.example.", "A"): [TRUNCATED, "192.0.2.88"],
    ("nosix.example.", "MX"): ["10 onlyfour.example."],
    ("onlyfour.example.", "A"): ["192.0.2.66"],
    ("onlyfour.example.", "AAAA"): [SERVER_FAILURE],
    ("xn--bcher-kva.example.", "MX"): ["10 mx1.example."],
    ("search.example.", "A"): ["192.0.2.55"],
}

OWN = {ipaddress.ip_address(text).packed for text in ("127.0.0.1", "::1", "0.0.0.0")}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with dns_server(TABLE, "127.0.0.1", 0) as (port, _):
        yield port


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "_LIFETIME", 1)


def find(port: int, host: bytes) -> list[str] | bytes:
    """Return the addresses that take the mail of `host`, in order; or the report."""
    shuffle = random.Random(1).shuffle
    resolver = DnsResolver(["127.0.0.1"], port)
    try:
        found = asyncio.run(find_exchangers(host, resolver, OWN, shuffle))
    except Undeliverable as failure:
        return failure.report
    return [str(each.address) for each in found]


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        (b"plain.example", ["192.0.2.1", "192.0.2.2"]),
        (b"PLAIN.example.", ["192.0.2.1", "192.0.2.2"]),
        (b"host.example", ["192.0.2.99"]),
        (b"six.example", ["2001:db8::1"]),
        (b"halfnull.example", ["192.0.2.1"]),
        (b"alias.example", ["192.0.2.1", "192.0.2.2"]),
        (b"mxalias.example", ["192.0.2.99"]),
        (b"literal.example", ["192.0.2.77"]),
        (b"backup.example", ["192.0.2.1"]),
        (b"odd.example", ["192.0.2.2"]),
        (b"half.example", ["192.0.2.2"]),
        (b"nosix.example", ["192.0.2.66"]),
        (b"mx.long.example", ["192.0.2.88"]),
        ("bücher.example".encode(), ["192.0.2.1"]),
        ("BÜCHER.example".encode(), ["192.0.2.1"]),
        (b"192.0.2.4", ["192.0.2.4"]),
        (b"[IPv6:2001:db8::4]", ["2001:db8::4"]),
    ],
)
def test_mail_goes_where_the_dns_says(port: int, host: bytes, addresses: list[str]) -> None:
    assert find(port, host) == addresses


def test_a_long_answer_is_fetched_by_tcp(port: int) -> None:
    assert find(port, b"long.example") == [f"192.0.2.{number}" for number in range(60)]


@pytest.mark.parametrize(
    ("host", "report"),
    [
        (b"gone.example", no_such_host(b"gone.example")),
        (b"dangling.example", no_such_host(b"dangling.example")),
        (b"search", no_such_host(b"search")),  # there is no search list
        (b"", no_such_host(b"")),
        (b"a..example", no_such_host(b"a..example")),
        (b"x" * 64, no_such_host(b"x" * 64)),
        (b"null.example", NO_EXCHANGER),
        (b"local.example", OURSELVES),
        (b"localhost", OURSELVES),
        (b"zero.example", OURSELVES),
        (b"[127.0.0.1]", OURSELVES),
        (b"[IPv6:::1]", OURSELVES),
    ],
)
def test_mail_that_can_go_nowhere_bounces(port: int, host: bytes, report: bytes) -> None:
    assert find(port, host) == report


@pytest.mark.parametrize(
    "host",
    [
        b"servfail.example",
        b"refused.example",
        b"silent.example",
        b"mailonly.example",
        b"halfours.example",
    ],
)
def test_what_the_dns_cannot_say_now_waits(port: int, host: bytes) -> None:
    assert find(port, host) == NO_ANSWER_FROM_DNS


def test_a_name_server_that_is_not_there_is_asked_later() -> None:
    assert find(1, b"plain.example") == NO_ANSWER_FROM_DNS


def test_a_relay_by_alias_has_the_addresses_of_the_host(port: int) -> None:
    resolver = DnsResolver(["127.0.0.1"], port)

    (address,) = asyncio.run(find_relay(b"hostalias.example", resolver))

    assert str(address) == "192.0.2.99"
