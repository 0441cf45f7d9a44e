"""How safe a connection must be, and whose certificate will do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyqmail.control.tlspolicy import Policy, Rule, find_rule
from pyqmail.delivery.exchangers import ascii_name, parse_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyqmail.control.maps import ColonMap


@dataclass(frozen=True, slots=True)
class Security:
    """What a connection must be. `names` are those that a certificate may be for, with VERIFY.

    A name that begins with a dot is for all that end so.
    """

    policy: Policy = Policy.MAY
    names: tuple[bytes, ...] = ()

    @property
    def demanded(self) -> bool:
        """Is there no delivery without TLS?"""
        return self.policy in (Policy.ENCRYPT, Policy.VERIFY)


def find_security(
    policies: ColonMap, host: bytes, relay: bytes | None, default: Policy
) -> Security:
    """Return what holds for mail to `host`, over `relay` if that is not None. Raises ControlError.

    Without names in tlspolicy, a relay must prove that it is what the route
    calls it, an exchanger that it is of the domain: its own name is only what
    the DNS said, and anybody may have said it.
    """
    rule = find_rule(policies, host, relay) or Rule(default)
    if rule.policy is not Policy.VERIFY:
        return Security(rule.policy)
    own_names = (relay,) if relay is not None else (host, b"." + host)
    return Security(rule.policy, rule.names or own_names)


def is_named(certified: Sequence[bytes], names: Sequence[bytes]) -> bool:
    """Is one of the names in a certificate one of those that we would accept (RFC 6125 §6.4)?"""
    return any(_matches(_canonical(each), _canonical(name)) for each in certified for name in names)


def _canonical(name: bytes) -> bytes:
    literal = parse_literal(name) or parse_literal(b"[" + name + b"]")
    if literal is not None:
        return str(literal).encode()
    plain = name.removeprefix(b".")
    return name[: len(name) - len(plain)] + ascii_name(plain).lower()


def _matches(certified: bytes, name: bytes) -> bool:
    if name.startswith(b"."):
        return certified.endswith(name) and len(certified) > len(name)
    _, dot, parent = name.partition(b".")
    below = dot and parent and parse_literal(name) is None
    return certified == name or (bool(below) and certified == b"*." + parent)
