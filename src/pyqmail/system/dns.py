"""Questions to the DNS, through an interface that tests can stand behind.

Names come out as the original's resolver gives them: in small letters, with
bytes other than `a-z 0-9 - _` as a backslash and three octal digits.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from pyqmail.errors import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dns.asyncresolver import Resolver as _DnsPython
    from dns.name import Name as DnsName

Answer = TypeVar("Answer")

_PORT: Final = 53
_CACHED_NAMES: Final = 1000
_LIFETIME: Final = 20  # seconds for one question, all servers and repetitions together
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_IPV4_NUMBERS: Final = 4


class DnsTrouble(TransientFailure):
    """Nobody could answer; asking later may help."""


class Resolver(Protocol):
    """Answers questions. No such name, and no such record, are empty lists; else DnsTrouble."""

    async def addresses(self, name: bytes) -> list[str]:
        """Return the addresses of a name, IPv4 before IPv6."""

    async def addresses_v4(self, name: bytes) -> list[str]:
        """Return the IPv4 addresses of a name: a list of addresses has no others."""

    async def names(self, address: str) -> list[bytes]:
        """Return the names of an address."""

    async def texts(self, name: bytes) -> list[bytes]:
        """Return the texts of a name, each in one piece."""


class DnsResolver:
    """The resolver of this machine, or of DNSCACHEIP; answers are kept as long as they are valid.

    Its library costs 100 ms and comes with the first question.
    """

    def __init__(self, servers: Sequence[str] = (), port: int = _PORT) -> None:
        self._servers = servers
        self._port = port
        self._resolver: _DnsPython | None = None

    async def addresses(self, name: bytes) -> list[str]:
        """Return the addresses of a name, IPv4 before IPv6."""
        return [*await self.addresses_v4(name), *await self._ask(name, "AAAA", str)]

    async def addresses_v4(self, name: bytes) -> list[str]:
        """Return the IPv4 addresses of a name."""
        return await self._ask(name, "A", str)

    async def names(self, address: str) -> list[bytes]:
        """Return the names of an address."""
        return await self._ask(ipaddress.ip_address(address).reverse_pointer, "PTR", _name_text)

    async def texts(self, name: bytes) -> list[bytes]:
        """Return the texts of a name, each in one piece."""
        return await self._ask(name, "TXT", _text)

    def prepare(self) -> None:
        """Load the library now: before the first question, and before processes are made."""
        if self._resolver is None:
            self._resolver = _make_resolver(self._servers, self._port)

    async def _ask(
        self, name: bytes | str, kind: str, read: Callable[[Any], Answer]
    ) -> list[Answer]:
        self.prepare()
        assert self._resolver is not None  # prepare() has just made it
        from dns.exception import DNSException  # noqa: PLC0415  see prepare()
        from dns.name import EmptyLabel, LabelTooLong, NameTooLong  # noqa: PLC0415
        from dns.resolver import NXDOMAIN  # noqa: PLC0415

        try:
            question = name if isinstance(name, str) else _absolute(name)
            answer = await self._resolver.resolve(
                question, kind, raise_on_no_answer=False, search=False
            )
        except (NXDOMAIN, EmptyLabel, LabelTooLong, NameTooLong):
            return []  # what is no name has no records
        except (DNSException, OSError) as error:
            raise DnsTrouble(b"temporary failure of the DNS") from error
        return [read(record) for record in answer.rrset or ()]


def _make_resolver(servers: Sequence[str], port: int) -> _DnsPython:
    from dns.asyncresolver import Resolver as DnsPython  # noqa: PLC0415  see DnsResolver
    from dns.resolver import LRUCache, NoResolverConfiguration  # noqa: PLC0415

    try:
        resolver = DnsPython(configure=not servers)
    except (NoResolverConfiguration, OSError):
        resolver = DnsPython(configure=False)
    resolver.nameservers = list(servers) or resolver.nameservers or ["127.0.0.1"]
    resolver.port = port
    resolver.lifetime = _LIFETIME
    resolver.cache = LRUCache(_CACHED_NAMES)
    return resolver


def _absolute(name: bytes) -> DnsName:
    """Return the name whose labels are cut at dots and hold any other byte."""
    from dns.name import Name  # noqa: PLC0415  see DnsResolver

    return Name([label for label in name.split(b".") if label] + [b""])


def _name_text(record: Any) -> bytes:
    labels = (label.lower() for label in record.target.labels if label)
    return b".".join(b"".join(map(_byte_text, label)) for label in labels)


def _byte_text(byte: int) -> bytes:
    return bytes([byte]) if byte in _PLAIN else b"\\%03o" % byte


def _text(record: Any) -> bytes:
    return b"".join(record.strings)


def servers_in(text: bytes) -> list[str]:
    """Return the addresses in DNSCACHEIP: IPv4 ones joined by dots, or one of IPv6."""
    if b":" in text:
        return [text.decode("ascii", "replace")]
    return literal_addresses(text)


def literal_addresses(text: bytes) -> list[str]:
    """Return the IPv4 addresses that are joined by dots in `text`; none if it is anything else."""
    numbers = text.split(b".")
    if len(numbers) % _IPV4_NUMBERS or not all(map(_is_number, numbers)):
        return []
    words = [number.decode("ascii").lstrip("0") or "0" for number in numbers]
    groups = range(0, len(words), _IPV4_NUMBERS)
    return [".".join(words[start : start + _IPV4_NUMBERS]) for start in groups]


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= 3 and int(text) <= 255  # noqa: PLR2004
