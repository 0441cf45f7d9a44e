"""Whose mail is taken: recipients that may be relayed to, senders and recipients that may not.

The rules are those of qmail-smtpd(8) and qmail-qmtpd(8). An address here is
as the envelope has it: no quotes.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pyqmail.control.cdb import Cdb, CdbError
from pyqmail.control.files import ControlError, read_list
from pyqmail.control.maps import ConstantMap
from pyqmail.message.address import split_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MORE = "control/morercpthosts.cdb"


@dataclass(frozen=True, slots=True)
class RelayDomains:
    """The domains we take mail for: control/rcpthosts and morercpthosts.cdb.

    `listed` is None where there is no rcpthosts: then every domain is taken, as ever.
    """

    listed: ConstantMap | None
    more: Cdb | None

    @classmethod
    def read(cls, home: str) -> Self:
        """Read what the home says. Raises ControlError."""
        entries = read_list(home, "rcpthosts")
        if entries is None:
            return cls(None, None)
        return cls(ConstantMap(entries), _open_more(home))

    def take(self, address: bytes) -> bool:
        """Ask whether mail for `address` is taken. Raises ControlError.

        An address without a domain is: it will get the local one. An entry
        that begins with a dot stands for all names that end so.
        """
        _, domain = split_address(address)
        if self.listed is None or domain is None:
            return True
        names = list(_domain_and_endings(domain.lower()))
        if any(name in self.listed for name in names):
            return True
        try:
            return self.more is not None and any(self.more.get(name) is not None for name in names)
        except CdbError as error:
            raise ControlError(_MORE, None, b"damaged database") from error


def _open_more(home: str) -> Cdb | None:
    try:
        return Cdb(os.path.join(home, _MORE))
    except FileNotFoundError:
        return None
    except CdbError as error:
        raise ControlError(_MORE, None, error.text) from error


def _domain_and_endings(domain: bytes) -> Iterator[bytes]:
    """Yield `domain`, then what begins at each of its dots; nothing if it is empty."""
    if domain:
        yield domain
    dot = domain.find(b".", 1)
    while dot >= 0:
        yield domain[dot:]
        dot = domain.find(b".", dot + 1)


@dataclass(frozen=True, slots=True)
class AddressList:
    """A list such as control/badmailfrom: addresses, and `@domain` for all of a domain."""

    entries: ConstantMap

    @classmethod
    def read(cls, home: str, name: str) -> Self:
        """Read control/`name`; an absent one is empty. Raises ControlError."""
        return cls(ConstantMap(read_list(home, name) or ()))

    def __contains__(self, address: bytes) -> bool:
        if not address:
            return False  # a null reverse path is checked against no list
        _, domain = split_address(address)
        return address in self.entries or (domain is not None and b"@" + domain in self.entries)


def replace_own_literal(
    address: bytes, local_host: bytes | None, is_ours: Callable[[bytes], bool]
) -> bytes:
    """Return `address` with `local_host` as its domain where that is an address of this host.

    `is_ours` says that of an IP address in 4 or 16 bytes. Without a
    `local_host` nothing is replaced.
    """
    local, domain = split_address(address)
    if local_host is None or domain is None:
        return address
    literal = parse_address_literal(domain)
    return local + b"@" + local_host if literal and is_ours(literal) else address


def parse_address_literal(domain: bytes) -> bytes | None:
    """Return the IP address that `[192.0.2.1]` or `[IPv6:2001:db8::1]` means, packed."""
    if not (domain.startswith(b"[") and domain.endswith(b"]")):
        return None
    text = domain[1:-1]
    if text[:5].lower() == b"ipv6:":
        return _parse_ipv6(text[5:])
    numbers = text.split(b".")
    if len(numbers) != 4 or not all(number.isdigit() for number in numbers):  # noqa: PLR2004
        return None
    # As in the original a number above 255 counts modulo 256; for that the last digits suffice.
    return bytes(int(number[-8:]) % 256 for number in numbers)


def _parse_ipv6(text: bytes) -> bytes | None:
    try:
        return ipaddress.IPv6Address(text.decode("ascii")).packed
    except ValueError:
        return None
