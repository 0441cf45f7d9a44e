"""The ends of a connection, and the variables that tell a program about them: tcp-environ(5)."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAPPED: Final = "::ffff:"  # an IPv4 address in an IPv6 socket; RFC 4291 §2.5.5.2


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection. `ip` is IPv4 where it can be; `zone` is what it is linked to."""

    ip: bytes
    port: int
    zone: bytes = b""

    @classmethod
    def of(cls, address: Any) -> Self:
        """Return the end at an address that a socket gave."""
        ip, _, zone = address[0].partition("%")
        if ip.startswith(_MAPPED) and "." in ip:
            ip = ip[len(_MAPPED) :]
        return cls(ip.encode(), address[1], zone.encode())

    @property
    def is_v6(self) -> bool:
        """Is it an IPv6 address?"""
        return b":" in self.ip

    @property
    def network(self) -> bytes:
        """Return what counts as one peer: an IPv4 address, or the /64 that an IPv6 host has."""
        if not self.is_v6:
            return self.ip
        return socket.inet_pton(socket.AF_INET6, self.ip.decode())[:8]


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a connection, and what was found out about them; None is unknown."""

    local: End
    remote: End
    local_name: bytes | None = None
    remote_name: bytes | None = None
    info: bytes | None = None


def add_variables(environ: Mapping[bytes, bytes], ends: Ends) -> dict[bytes, bytes]:
    """Return `environ` with the variables of a connection; what is unknown is taken out."""
    variables: dict[bytes, bytes | None] = {
        b"PROTO": b"TCP6" if ends.remote.is_v6 else b"TCP",
        b"TCPLOCALIP": ends.local.ip,
        b"TCPLOCALPORT": b"%d" % ends.local.port,
        b"TCPLOCALHOST": ends.local_name,
        b"TCPREMOTEIP": ends.remote.ip,
        b"TCPREMOTEPORT": b"%d" % ends.remote.port,
        b"TCPREMOTEHOST": ends.remote_name,
        b"TCPREMOTEINFO": ends.info,
    }
    if ends.remote.is_v6:
        # The names that IPv6 versions of ucspi-tcp gave them.
        variables |= {b"TCP6" + name[3:]: value for name, value in [*variables.items()][1:]}
        variables[b"TCP6INTERFACE"] = ends.remote.zone or None
    added = dict(environ)
    for name, value in variables.items():
        if value is None:
            added.pop(name, None)
        else:
            added[name] = value
    return added
