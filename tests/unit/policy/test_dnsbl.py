from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from pyqmail.policy.dnsbl import DnsList, Refusal, judge
from pyqmail.system.dns import DnsTrouble

CLIENT = {b"TCPREMOTEIP": b"192.0.2.7"}
LISTED = {b"7.2.0.192.deny.test": [b"listed"], b"7.2.0.192.good.test": [b"127.0.0.2"]}

DENY = DnsList(b"deny.test")
GOOD = DnsList(b"good.test", vouches=True)
BROKEN = DnsList(b"broken.test")
OTHER = DnsList(b"other.test")


@dataclass
class TableResolver:
    """Answers from LISTED; of `broken.test` nobody knows anything."""

    asked: list[bytes] = field(default_factory=list)

    async def texts(self, name: bytes) -> list[bytes]:
        self.asked.append(name)
        if name.endswith(b"broken.test"):
            raise DnsTrouble(b"broken")
        return LISTED.get(name, [])

    async def addresses_v4(self, name: bytes) -> list[str]:
        return [text.decode() for text in await self.texts(name)]

    async def addresses(self, name: bytes) -> list[str]:
        return await self.addresses_v4(name)

    async def names(self, address: str) -> list[bytes]:
        raise AssertionError(address)


def refusal_of(environ: dict[bytes, bytes], *lists: DnsList) -> bytes | None:
    refusal = asyncio.run(judge(environ, lists, TableResolver()))
    return None if refusal is None else refusal.line


def bouncing(dns_list: DnsList, **others: bool) -> DnsList:
    return DnsList(dns_list.base, dns_list.vouches, bounces=True, **others)


def closed(dns_list: DnsList) -> DnsList:
    return DnsList(dns_list.base, dns_list.vouches, dns_list.bounces, fails_closed=True)


@pytest.mark.parametrize(
    ("lists", "line"),
    [
        ([], None),
        ([OTHER], None),
        ([DENY], b"451 listed"),
        ([bouncing(DENY)], b"553 listed"),
        ([OTHER, bouncing(DENY)], b"553 listed"),
        ([GOOD, DENY], None),
        ([DENY, GOOD], b"451 listed"),
        ([BROKEN], None),
        ([closed(BROKEN)], b"451 temporary RBL lookup error"),
        ([BROKEN, bouncing(DENY)], b"451 listed"),
        ([DnsList(b"broken.test", vouches=True), DENY], None),
        ([closed(DnsList(b"broken.test", vouches=True)), bouncing(DENY)], b"451 listed"),
    ],
)
def test_the_first_list_that_knows_the_client_decides(
    lists: list[DnsList], line: bytes | None
) -> None:
    assert refusal_of(CLIENT, *lists) == line


@pytest.mark.parametrize(
    ("said", "line"),
    [(b"", None), (b"no", b"451 no"), (b"-no", b"553 no"), (b"-", b"553 ")],
)
def test_the_environment_comes_before_all_lists(said: bytes, line: bytes | None) -> None:
    resolver = TableResolver()

    refusal = asyncio.run(judge({**CLIENT, b"RBLSMTPD": said}, [DENY], resolver))

    assert (None if refusal is None else refusal.line) == line
    assert resolver.asked == []


@pytest.mark.parametrize(
    ("ip", "name"),
    [
        (b"192.0.2.7", b"7.2.0.192.deny.test"),
        (
            b"2001:db8::1",
            b"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.deny.test",
        ),
    ],
)
def test_the_name_asked_is_the_address_backwards(ip: bytes, name: bytes) -> None:
    resolver = TableResolver()

    asyncio.run(judge({b"TCPREMOTEIP": ip}, [DENY], resolver))

    assert resolver.asked == [name]


@pytest.mark.parametrize("environ", [{}, {b"TCPREMOTEIP": b"no address"}, {b"TCPREMOTEIP": b""}])
def test_nobody_is_asked_about_no_address(environ: dict[bytes, bytes]) -> None:
    resolver = TableResolver()

    assert asyncio.run(judge(environ, [DENY], resolver)) is None
    assert resolver.asked == []


def test_a_text_cannot_be_a_second_reply() -> None:
    line = Refusal(b"a\r\n250 ok\xff" + b"x" * 300, permanent=False).line

    assert line == b"451 a??250 ok?" + b"x" * (200 - len(b"a\r\n250 ok\xff"))
