"""Where a message goes next: the addresses to try, in order, and what must be true of each."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError
from pyqmail.control.smtproutes import find_relay_of
from pyqmail.control.smtproutes_auth import find_login
from pyqmail.control.tlspolicy import Policy
from pyqmail.delivery.exchangers import find_exchangers, find_relay
from pyqmail.delivery.remote_texts import OUT_OF_RESOURCES, UNREADABLE_CONTROL, Undeliverable
from pyqmail.delivery.security import Security, find_security
from pyqmail.system.interfaces import local_addresses

if TYPE_CHECKING:
    from pyqmail.control.smtproutes import Relay
    from pyqmail.control.smtproutes_auth import Login
    from pyqmail.delivery.exchangers import Address
    from pyqmail.delivery.routes import Settings
    from pyqmail.system.dns import Resolver

MAX_HOPS: Final = 20  # tried in one delivery; each may cost a time-out
SMTPS_PORT: Final = 465  # RFC 8314 §3.3: TLS from the first byte on
_CHANCE: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Hop:
    """An address, and how to speak to it. A connection to one serves any that is equal."""

    address: Address
    port: int
    security: Security = field(default_factory=Security)
    login: Login | None = None
    name: bytes = field(default=b"", compare=False)  # by which it was found


async def find_hops(
    home: str, host: bytes, settings: Settings, resolver: Resolver, port: int
) -> list[Hop]:
    """Return where mail to `host` goes; `port` is that of mail exchangers. Raises Undeliverable."""
    try:
        relay = find_relay_of(settings.routes, host)
        login = None if relay is None else find_login(home, relay)
        security = find_security(
            settings.policies,
            host,
            None if relay is None else relay.host,
            Policy.MAY if login is None else Policy.VERIFY,
        )
    except ControlError as error:
        raise Undeliverable(UNREADABLE_CONTROL) from error
    if relay is None:
        found = await find_exchangers(host, resolver, _own_addresses(), _CHANCE.shuffle)
        hops = [Hop(each.address, port, security, name=each.name) for each in found]
    else:
        hops = await _hops_of(relay, security, login, resolver)
    return hops[:MAX_HOPS]


async def _hops_of(
    relay: Relay, security: Security, login: Login | None, resolver: Resolver
) -> list[Hop]:
    if security.policy is Policy.MAY and (login is not None or relay.port == SMTPS_PORT):
        security = Security(Policy.ENCRYPT)  # a password is not for everybody on the way
    addresses = await find_relay(relay.host, resolver)
    return [Hop(each, relay.port, security, login, relay.host) for each in addresses]


def _own_addresses() -> frozenset[bytes]:
    try:
        return local_addresses()
    except OSError as error:
        raise Undeliverable(OUT_OF_RESOURCES) from error
