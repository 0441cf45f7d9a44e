"""How safe a connection must be: control/tlspolicy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from pyqmail.control.files import ControlError
from pyqmail.delivery.exchangers import ascii_name, parse_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyqmail.control.maps import ColonMap


class Policy(Enum):
    """What a line of control/tlspolicy says."""

    NONE = b"none"  # never TLS
    MAY = b"may"  # TLS where it is to be had
    ENCRYPT = b"encrypt"  # TLS, whoever it is that speaks it
    VERIFY = b"verify"  # TLS, and a certificate that proves who it is


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

    Keys are looked for as those of smtproutes: for the host, then for the relay, then the
    empty one.
    """
    own_names = (relay,) if relay is not None else (host, b"." + host)
    keys = [*_keys(host), *(_keys(relay) if relay is not None else ()), b""]
    value = next((policies.get(key) for key in keys if key in policies), None)
    if value is None:
        return Security(default, own_names if default is Policy.VERIFY else ())
    word, *names = value.split(b":")
    try:
        policy = Policy(word.strip().lower())
    except ValueError as error:
        raise ControlError("control/tlspolicy", None, b"no policy: " + value[:40]) from error
    if policy is not Policy.VERIFY:
        return Security(policy)
    return Security(policy, tuple(names) or own_names)


def _keys(host: bytes) -> Sequence[bytes]:
    dots = [position for position, byte in enumerate(host) if byte == ord(".")]
    return [host[start:] for start in (0, *dots) if host[start:]]


def is_named(certified: Sequence[bytes], names: Sequence[bytes]) -> bool:
    """Is one of the names in a certificate one of those that we would accept (RFC 6125 §6.4)?"""
    return any(_matches(_canonical(each), _canonical(name)) for each in certified for name in names)


def _canonical(name: bytes) -> bytes:
    literal = parse_literal(name) or parse_literal(b"[" + name + b"]")
    return ascii_name(name).lower() if literal is None else str(literal).encode()


def _matches(certified: bytes, name: bytes) -> bool:
    if name.startswith(b"."):
        return certified.endswith(name) and len(certified) > len(name)
    _, dot, parent = name.partition(b".")
    below = dot and parent and parse_literal(name) is None
    return certified == name or (bool(below) and certified == b"*." + parent)
