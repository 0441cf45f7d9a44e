"""A resolver that answers from a table."""

from __future__ import annotations

from pyqmail.system.dns import DnsTrouble


class TableResolver:
    """`hosts` has addresses by name, `domains` exchangers by domain.

    What is `broken`, name and kind, gets no answer.
    """

    def __init__(
        self,
        hosts: dict[bytes, list[str]] | None = None,
        domains: dict[bytes, list[tuple[int, bytes]]] | None = None,
        broken: frozenset[tuple[bytes, str]] = frozenset(),
    ) -> None:
        self._hosts = hosts or {}
        self._domains = domains or {}
        self._broken = broken

    async def addresses(self, name: bytes) -> list[str]:
        found = await self.addresses_v4(name)
        self._fail_if_broken(name, "AAAA")
        return found + [each for each in self._hosts.get(name, []) if ":" in each]

    async def addresses_v4(self, name: bytes) -> list[str]:
        self._fail_if_broken(name, "A")
        return [each for each in self._hosts.get(name, []) if ":" not in each]

    async def names(self, address: str) -> list[bytes]:
        raise NotImplementedError(address)

    async def texts(self, name: bytes) -> list[bytes]:
        raise NotImplementedError(name)

    async def exchangers(self, name: bytes) -> list[tuple[int, bytes]]:
        self._fail_if_broken(name, "MX")
        return self._domains.get(name, [])

    def _fail_if_broken(self, name: bytes, kind: str) -> None:
        if (name, kind) in self._broken:
            raise DnsTrouble(b"temporary failure of the DNS")
