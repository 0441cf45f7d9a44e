"""Which hosts take the mail of a domain, and in which order (RFC 5321 §5.1)."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.delivery.remote_texts import (
    NO_ANSWER_FROM_DNS,
    NO_EXCHANGER,
    OURSELVES,
    Undeliverable,
    no_such_host,
)
from pyqmail.system.dns import DnsTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from pyqmail.system.dns import Resolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Whoever owns a domain says how many exchangers it has; more than these are not asked.
MAX_EXCHANGERS: Final = 100


@dataclass(frozen=True, slots=True)
class Exchanger:
    """An address that takes mail; the lower its preference, the sooner it is asked."""

    preference: int
    address: Address
    name: bytes = b""  # by which it was found


class Search:
    """Looks for addresses; remembers whether the DNS failed to answer a question."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.failed = False

    async def exchangers(self, host: bytes) -> list[Exchanger] | None:
        """Return who takes the mail of `host`; None: it has no MX records, and no address."""
        literal = parse_literal(host)
        if literal is not None:
            return [Exchanger(0, literal, host)]
        name = ascii_name(host)
        records = await self._resolver.exchangers(name)
        if not records:
            return [Exchanger(0, each, name) for each in await self.resolve(name)] or None
        best = sorted(records, key=_preference)[:MAX_EXCHANGERS]
        # All at once: whoever lets us wait for each of many names could hold us for hours.
        found = await asyncio.gather(*(self._addresses(exchanger) for _, exchanger in best))
        return [
            Exchanger(preference, address, exchanger)
            for (preference, exchanger), addresses in zip(best, found, strict=True)
            for address in addresses
        ]

    async def _addresses(self, name: bytes) -> list[Address]:
        if not name:
            return []  # "null MX", RFC 7505: this domain takes no mail
        literal = parse_literal(name)
        if literal is not None:
            return [literal]  # an MX record must not hold one, but some do
        try:
            return await self.resolve(name)
        except DnsTrouble:
            self.failed = True
            return []

    async def resolve(self, name: bytes) -> list[Address]:
        """Return the addresses of a name. Raises DnsTrouble."""
        try:
            texts = await self._resolver.addresses(name)
        except DnsTrouble:
            # Some name servers do not answer questions for IPv6. Who has IPv4 can be reached.
            texts = await self._resolver.addresses_v4(name)
            if not texts:
                raise
        return [ipaddress.ip_address(text) for text in texts]


async def find_exchangers(
    host: bytes,
    resolver: Resolver,
    own: Collection[bytes],
    shuffle: Callable[[list[Exchanger]], None],
) -> list[Exchanger]:
    """Return the exchangers to try, in order. Raises Undeliverable.

    `own` are the packed addresses of this machine: whoever stands behind it in
    the list of exchangers would send the mail back to it. `shuffle` puts a
    list in random order.
    """
    search = Search(resolver)
    try:
        found = await search.exchangers(host)
    except DnsTrouble as trouble:
        raise Undeliverable(NO_ANSWER_FROM_DNS) from trouble
    if found is None:
        raise Undeliverable(no_such_host(host))
    usable = in_order(before_us(found, own), shuffle)
    if usable:
        return usable
    if search.failed:
        raise Undeliverable(NO_ANSWER_FROM_DNS)  # a better one than us may be among them
    raise Undeliverable(OURSELVES if found else NO_EXCHANGER)


async def find_relay(host: bytes, resolver: Resolver) -> list[Address]:
    """Return the addresses of a host that an artificial route names. Raises Undeliverable."""
    literal = parse_literal(host)
    if literal is not None:
        return [literal]
    search = Search(resolver)
    try:
        found = await search.resolve(ascii_name(host))
    except DnsTrouble as trouble:
        raise Undeliverable(NO_ANSWER_FROM_DNS) from trouble
    if not found:
        raise Undeliverable(no_such_host(host))
    return found


def before_us(found: Iterable[Exchanger], own: Collection[bytes]) -> list[Exchanger]:
    """Return the exchangers that are preferred to this machine."""
    found = list(found)
    ours = (each.preference for each in found if is_own(each.address, own))
    limit = min(ours, default=None)
    return [each for each in found if limit is None or each.preference < limit]


def is_own(address: Address, own: Collection[bytes]) -> bool:
    """Is the address one of this machine's?"""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.packed in own or address.is_unspecified


def in_order(
    found: Iterable[Exchanger], shuffle: Callable[[list[Exchanger]], None]
) -> list[Exchanger]:
    """Return each address once, by preference, random among equals (RFC 5321 §5.1)."""
    mixed = list(found)
    shuffle(mixed)
    first: dict[Address, Exchanger] = {}
    for each in sorted(mixed, key=lambda each: each.preference):
        first.setdefault(each.address, each)
    return list(first.values())


def parse_literal(host: bytes) -> Address | None:
    """Return the address that `host` is, bare or in brackets (RFC 5321 §4.1.3)."""
    text = host.decode("ascii", "replace")
    try:
        if not (text.startswith("[") and text.endswith("]")):
            return ipaddress.IPv4Address(text)
        text = text[1:-1]
        if text[:5].lower() == "ipv6:":
            return ipaddress.IPv6Address(text[5:])
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def ascii_name(host: bytes) -> bytes:
    """Return the name as the DNS has it: an internationalised one in its ASCII form."""
    if host.isascii():
        return host
    try:
        return host.decode("utf-8").encode("idna")
    except UnicodeError:
        return host  # no name, but the DNS may say that


def _preference(record: tuple[int, bytes]) -> int:
    return record[0]
