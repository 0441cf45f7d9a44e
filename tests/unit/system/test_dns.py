from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dns_stub import SERVER_FAILURE, Table, dns_server

from pyqmail.system.dns import DnsResolver, DnsTrouble, literal_addresses, servers_in

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

TABLE: Table = {
    ("host.example.net.", "A"): ["192.0.2.1", "192.0.2.2"],
    ("host.example.net.", "AAAA"): ["2001:db8::1"],
    ("1.2.0.192.in-addr.arpa.", "PTR"): [r"Odd\032One\.x.Example.NET."],
    ("host.example.net.", "TXT"): ['"one " "piece"', '"two"'],
    ("broken.example.net.", "A"): [SERVER_FAILURE],
}
ADDRESS, PORT = "127.0.0.1", 0


@pytest.fixture(scope="module")
def stub() -> Iterator[tuple[int, list[str]]]:
    with dns_server(TABLE, ADDRESS, PORT) as (port, asked):
        yield port, asked


@pytest.fixture
def resolver(stub: tuple[int, list[str]]) -> DnsResolver:
    stub[1].clear()
    return DnsResolver([ADDRESS], stub[0])


def ask(question: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    return asyncio.run(question)


def test_addresses_are_of_both_families(resolver: DnsResolver) -> None:
    assert ask(resolver.addresses(b"host.example.net")) == [
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8::1",
    ]
    assert ask(resolver.addresses_v4(b"HOST.example.net.")) == ["192.0.2.1", "192.0.2.2"]


def test_a_name_is_written_so_that_it_can_stand_anywhere(resolver: DnsResolver) -> None:
    assert ask(resolver.names("192.0.2.1")) == [b"odd\\040one\\056x.example.net"]


def test_a_text_is_one_piece(resolver: DnsResolver) -> None:
    assert ask(resolver.texts(b"host.example.net")) == [b"one piece", b"two"]


@pytest.mark.parametrize("name", [b"none.example.net", b"", b"..", b"x" * 64, b"x." * 200])
def test_what_is_not_there_is_no_trouble(resolver: DnsResolver, name: bytes) -> None:
    assert ask(resolver.addresses(name)) == []


def test_no_answer_is_trouble(resolver: DnsResolver) -> None:
    with pytest.raises(DnsTrouble):
        ask(resolver.addresses_v4(b"broken.example.net"))


def test_an_answer_is_kept(resolver: DnsResolver, stub: tuple[int, list[str]]) -> None:
    async def twice() -> list[Any]:
        return [await resolver.names("192.0.2.1") for _ in range(2)]

    first, second = asyncio.run(twice())

    assert first == second
    assert len(stub[1]) == 1


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        (b"192.0.2.1", ["192.0.2.1"]),
        (b"1.2.3.4.5.6.7.8", ["1.2.3.4", "5.6.7.8"]),
        (b"001.2.3.4", ["1.2.3.4"]),
        (b"1.2.3", []),
        (b"1.2.3.256", []),
        (b"1.2.3.a", []),
        (b"1.2.3.\xc2\xb2", []),
        (b"", []),
    ],
)
def test_addresses_may_be_joined_by_dots(text: bytes, addresses: list[str]) -> None:
    assert literal_addresses(text) == addresses


def test_a_server_may_be_ipv6() -> None:
    assert servers_in(b"::1") == ["::1"]
    assert servers_in(b"127.0.0.1") == ["127.0.0.1"]
