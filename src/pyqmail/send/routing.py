"""Local or remote: the rules by which qmail-send rewrites a recipient; qmail-send(8).

The rules never fail: an address that no rule knows is remote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyqmail.queue.store import Recipient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.control.maps import ColonMap, ConstantMap

AT = b"@"


@dataclass(frozen=True, slots=True)
class Routing:
    """What control/locals, virtualdomains, percenthack and envnoathost say."""

    locals: ConstantMap
    virtualdomains: ColonMap
    percenthack: ConstantMap
    envnoathost: bytes

    def route(self, forward_path: bytes) -> Recipient:
        """Return channel and rewritten address for a recipient as the envelope has it."""
        address = forward_path if AT in forward_path else forward_path + AT + self.envnoathost
        address = self._obey_percents(address)
        domain = address.rpartition(AT)[2]
        if domain in self.locals:
            return Recipient("local", address)
        for key in (address, *_domain_keys(domain)):
            prefix = self.virtualdomains.get(key)
            if prefix:
                return Recipient("local", prefix + b"-" + address)
            if prefix is not None:
                break  # an empty prefix is an exception from a wider rule
        return Recipient("remote", address)

    def original(self, address: bytes) -> bytes:
        """Return `address` as the sender knows it: without the prefix of a virtual domain.

        Tables may have changed since it was rewritten, so this can only be a good guess.
        """
        if AT not in address:
            return address
        return self._without_user_prefix(address) or self._without_domain_prefix(address)

    def _obey_percents(self, address: bytes) -> bytes:
        """Turn `user%host@relay` into `user@host` where the relay allows that."""
        local, _, domain = address.rpartition(AT)
        while domain in self.percenthack and b"%" in local:
            local, _, domain = local.rpartition(b"%")
        return local + AT + domain

    def _without_user_prefix(self, address: bytes) -> bytes | None:
        # The original leaves this prefix in, and so tells the sender of a
        # bounce a name that only this host knows.
        end = address.find(b"-")
        while end >= 0:
            prefix, rest = address[:end], address[end + 1 :]
            if prefix and self.virtualdomains.get(rest) == prefix and AT in rest:
                return rest
            end = address.find(b"-", end + 1)
        return None

    def _without_domain_prefix(self, address: bytes) -> bytes:
        for key in _domain_keys(address.rpartition(AT)[2]):
            prefix = self.virtualdomains.get(key)
            if prefix is None:
                continue
            return address.removeprefix(prefix + b"-") if prefix else address
        return address


def _domain_keys(domain: bytes) -> Iterator[bytes]:
    """Yield the keys that may rule `domain`: itself, each suffix from a dot on, the empty key."""
    yield domain
    dot = domain.find(b".", 1)
    while dot >= 0:
        yield domain[dot:]
        dot = domain.find(b".", dot + 1)
    yield b""
