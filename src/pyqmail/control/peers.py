"""Lists of hosts that are trusted: control/proxypeers and xclientpeers; qmail-smtpd(8)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pyqmail.control.files import ControlError, read_list

if TYPE_CHECKING:
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class PeerList:
    """IP addresses and networks: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`."""

    networks: tuple[Network, ...]

    @classmethod
    def read(cls, home: str, name: str) -> Self:
        """Read control/`name`; an absent one is empty. Raises ControlError."""
        networks = []
        for entry in read_list(home, name) or ():
            try:
                networks.append(ipaddress.ip_network(entry.decode("ascii")))
            except ValueError as error:
                wrong = b"no address or network: " + entry[:60]
                raise ControlError("control/" + name, None, wrong) from error
        return cls(tuple(networks))

    def __contains__(self, ip: bytes) -> bool:
        if not self.networks:
            return False
        try:
            address = ipaddress.ip_address(ip.decode("ascii"))
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)
