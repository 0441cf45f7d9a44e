"""Lists of addresses in the DNS: may this client send us mail? rblsmtpd(1).

A list that refuses an address has a text under its numbers, backwards; a list that
vouches for one has an address there.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.system.dns import DnsTrouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyqmail.system.dns import Resolver

_UNSURE: Final = b"temporary RBL lookup error"
_MAX_TEXT: Final = 200  # bytes
_PRINTABLE: Final = range(32, 127)
_SHOWN: Final = bytes(byte if byte in _PRINTABLE else ord("?") for byte in range(256))


@dataclass(frozen=True, slots=True)
class DnsList:
    """One list. `vouches`: who is in it is accepted, and no list after it is looked at.

    `bounces`: refuse for good. `fails_closed`: an answer that does not come is
    taken for the worse one.
    """

    base: bytes
    vouches: bool = False
    bounces: bool = False
    fails_closed: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why mail from this client is not taken, for now or for good."""

    text: bytes
    permanent: bool

    @property
    def line(self) -> bytes:
        """Return the reply that everything is answered with, without CR LF."""
        return (b"553 " if self.permanent else b"451 ") + self.text[:_MAX_TEXT].translate(_SHOWN)


async def judge(
    environ: Mapping[bytes, bytes], lists: Sequence[DnsList], resolver: Resolver
) -> Refusal | None:
    """Return why the client of a connection is refused; None if it is not.

    RBLSMTPD in the environment comes before all lists: empty accepts, a text
    refuses, for good if it begins with a dash.
    """
    said = environ.get(b"RBLSMTPD")
    if said is not None:
        permanent = said.startswith(b"-")
        return Refusal(said[1:] if permanent else said, permanent) if said else None
    reversed_ip = _reverse(environ.get(b"TCPREMOTEIP", b""))
    if reversed_ip is None or not lists:
        return None
    # All are asked at once; their answers count in the order of the lists.
    questions = [_ask(each, reversed_ip + each.base, resolver) for each in lists]
    return _decide(lists, await asyncio.gather(*questions))


async def _ask(dns_list: DnsList, name: bytes, resolver: Resolver) -> bytes | None:
    """Return what a list says: nothing, a text, or None if it does not answer."""
    try:
        if dns_list.vouches:
            return b"yes" if await resolver.addresses_v4(name) else b""
        return b"".join(await resolver.texts(name))
    except DnsTrouble:
        return None


def _decide(lists: Sequence[DnsList], answers: Sequence[bytes | None]) -> Refusal | None:
    unsure = False  # one that did not answer might have vouched: nobody is refused for good
    for dns_list, answer in zip(lists, answers, strict=True):
        if answer is None:
            unsure = True
            if dns_list.vouches and not dns_list.fails_closed:
                return None
            if dns_list.fails_closed and not dns_list.vouches:
                return Refusal(_UNSURE, permanent=False)
        elif answer and dns_list.vouches:
            return None
        elif answer:
            return Refusal(answer, permanent=dns_list.bounces and not unsure)
    return None


def _reverse(ip: bytes) -> bytes | None:
    """Return the labels of an address backwards, each with its dot; None if it is no address."""
    try:
        address = ipaddress.ip_address(ip.decode("latin-1"))
    except ValueError:
        return None
    labels, _, _ = address.reverse_pointer.rpartition(".in-addr." if ip.count(b".") else ".ip6.")
    return labels.encode() + b"."
