"""Mail finds its way by what a resolver of the world's says, as it does by our stub's words."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.query
import pytest
from tests.support.dns_stub import SERVER_FAILURE, Table, dns_server
from tests.support.fickle_host import Behaviour, fickle_hosts
from tests.support.places import ordinary_place
from tests.support.private_home import PrivateHome, why_not
from tests.support.unbound import unbound

from pyqmail.delivery.exchangers import find_exchangers, find_relay
from pyqmail.delivery.remote_texts import Undeliverable
from pyqmail.system.dns import DnsResolver

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.process, pytest.mark.peer, pytest.mark.xdist_group("real resolver")]

# Nobody else uses this address, at whose port 25 a test listens.
HERE = f"127.25.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
NOT_HERE = "127.26.0.1"
OURS = "192.0.2.99"  # what the tests call an address of this machine

MANY = 60
TABLE: Table = {
    ("one.example.", "MX"): ["10 mx1.one.example."],
    ("mx1.one.example.", "A"): ["192.0.2.1"],
    ("three.example.", "MX"): ["20 B.three.example.", "5 a.three.example.", "30 c.three.example."],
    ("a.three.example.", "A"): ["192.0.2.2", "192.0.2.3"],
    ("b.three.example.", "AAAA"): ["2001:db8::2"],
    ("c.three.example.", "A"): ["192.0.2.4"],
    ("c.three.example.", "AAAA"): ["2001:db8::4"],
    ("equals.example.", "MX"): ["10 a.three.example.", "10 c.three.example."],
    ("host.example.", "A"): ["192.0.2.5"],
    ("host6.example.", "AAAA"): ["2001:db8::5"],
    ("text.example.", "TXT"): ['"no mail"'],
    ("null.example.", "MX"): ["0 ."],
    ("alias.example.", "CNAME"): ["again.example."],
    ("again.example.", "CNAME"): ["one.example."],
    ("nowhere.example.", "CNAME"): ["gone.example."],
    ("loop.example.", "CNAME"): ["pool.example."],
    ("pool.example.", "CNAME"): ["loop.example."],
    ("via.example.", "MX"): ["10 alias.host.example."],
    ("alias.host.example.", "CNAME"): ["host.example."],
    ("dead.example.", "MX"): ["10 gone.example."],
    ("half.example.", "MX"): ["10 gone.example.", "20 host.example."],
    **{("broken.example.", kind): [SERVER_FAILURE] for kind in ("MX", "A", "AAAA")},
    ("doubt.example.", "MX"): ["10 broken.example."],
    ("ours.example.", "MX"): ["10 us.example."],
    ("us.example.", "A"): [OURS],
    ("backup.example.", "MX"): ["10 host.example.", "20 us.example.", "30 mx1.one.example."],
    ("many.example.", "MX"): [f"{n} host-with-a-long-name-{n}.many.example." for n in range(MANY)],
    **{(f"host-with-a-long-name-{n}.many.example.", "A"): [f"192.0.2.{n}"] for n in range(MANY)},
    ("farm.example.", "A"): [f"198.51.100.{n}" for n in range(MANY)],
    ("xn--mnchen-3ya.example.", "A"): ["192.0.2.7"],
    ("way.example.", "MX"): ["10 not-here.example.", "20 here.example."],
    ("not-here.example.", "A"): [NOT_HERE],
    ("here.example.", "A"): [HERE],
}

DOMAINS = sorted(
    {
        *(name.rstrip(".") for name, _ in TABLE if not name.startswith("host-with")),
        *("gone.example", "ONE.Example", "münchen.example"),
    }
)

GONE = "DSorry, I couldn't find any host named {}. (#5.1.2)\n"
NO_EXCHANGER = "DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n"
LATER = "ZSorry, I couldn't find any host by that name. (#4.1.2)\n"
# What comes of some, to know that it is not the same mistake twice.
EXPECTED = {
    "alias.example": ["192.0.2.1"],
    "three.example": ["192.0.2.2", "192.0.2.3", "2001:db8::2", "192.0.2.4", "2001:db8::4"],
    "host6.example": ["2001:db8::5"],
    "half.example": ["192.0.2.5"],
    "via.example": ["192.0.2.5"],
    "backup.example": ["192.0.2.5"],
    "many.example": [f"192.0.2.{n}" for n in range(MANY)],
    "farm.example": [f"198.51.100.{n}" for n in range(MANY)],
    "münchen.example": ["192.0.2.7"],
    "gone.example": GONE.format("gone.example"),
    "nowhere.example": GONE.format("nowhere.example"),
    "text.example": GONE.format("text.example"),
    "null.example": NO_EXCHANGER,
    "dead.example": NO_EXCHANGER,
    "broken.example": LATER,
    "doubt.example": LATER,
    "loop.example": LATER,
}


@pytest.fixture(scope="module")
def resolver() -> Iterator[int]:
    """Give the port of an Unbound."""
    with ordinary_place() as folder, unbound(folder, TABLE) as port:
        yield port


@pytest.fixture(scope="module")
def stub() -> Iterator[int]:
    with dns_server(TABLE, "127.0.0.1", 0) as (port, _):
        yield port


def decision(domain: str, port: int) -> list[str] | str:
    """Return where mail to a domain goes, equals in the order of their addresses; or the report."""

    def shuffle(found: list) -> None:
        found.sort(key=lambda each: (each.address.version, each.address))

    own = frozenset([socket.inet_aton(OURS)])
    resolver = DnsResolver(["127.0.0.1"], port)
    try:
        found = asyncio.run(find_exchangers(domain.encode(), resolver, own, shuffle))
    except Undeliverable as failure:
        return failure.report.decode()
    return [str(each.address) for each in found]


@pytest.mark.parametrize("domain", DOMAINS)
def test_mail_goes_where_the_stub_would_have_it_go(domain: str, resolver: int, stub: int) -> None:
    decided = decision(domain, resolver)

    assert decided == decision(domain, stub)
    assert decided == EXPECTED.get(domain, decided)


@pytest.mark.parametrize(
    "name", ["host.example", "farm.example", "alias.host.example", "gone.example"]
)
def test_a_relay_is_where_the_stub_would_have_it(name: str, resolver: int, stub: int) -> None:
    def addresses(port: int) -> set[str] | str:
        try:
            found = asyncio.run(find_relay(name.encode(), DnsResolver(["127.0.0.1"], port)))
        except Undeliverable as failure:
            return failure.report.decode()
        return {str(each) for each in found}

    assert addresses(resolver) == addresses(stub)


@pytest.mark.parametrize("server", ["resolver", "stub"])
def test_answers_are_cut_and_had_over_tcp(server: str, request: pytest.FixtureRequest) -> None:
    port = request.getfixturevalue(server)
    query = dns.message.make_query("many.example.", "MX")

    short = dns.query.udp(query, "127.0.0.1", 5, port)

    assert short.flags & dns.flags.TC
    assert len(decision("many.example", port)) == MANY


needs_home = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@needs_home
def test_the_command_asks_whom_control_resolver_names(resolver: int) -> None:
    reports = {}
    with PrivateHome() as home:
        home.write("control/resolver", f"127.0.0.1:{resolver}\n")
        home.write("control/smtproutes", "\n")
        for domain in ("gone.example", "null.example", "broken.example"):
            answer = home.run("qmail-remote", domain, "", f"joe@{domain}", text=b"x\n")
            reports[domain] = answer.stdout.decode().rstrip("\0")

    assert reports == {domain: EXPECTED[domain] for domain in reports}


@needs_home
def test_a_letter_goes_to_the_second_exchanger_and_one_to_nowhere_comes_back(resolver: int) -> None:
    with fickle_hosts({"here": Behaviour()}, (HERE, 25)) as hosts, PrivateHome("aku") as home:
        home.write("control/resolver", f"127.0.0.1:{resolver}\n")
        home.write("control/smtproutes", "\n")
        home.start()
        home.inject(
            b"Subject: x\n\nhello\n",
            "-faku@mail.example.org",
            "joe@way.example",
            "ann@null.example",
        )
        home.wait(lambda: bool(home.mail("aku")), "no bounce came")
        home.wait_until_empty()
        (bounce,) = home.mail("aku")

    ((recipients, text),) = hosts["here"].messages
    assert recipients == [b"joe@way.example"]
    assert text.endswith(b"\r\n\r\nhello\r\n")
    assert b"<ann@null.example>:\nSorry, I couldn't find a mail exchanger or IP address." in bounce
