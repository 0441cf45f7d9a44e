"""What the administrator says about mail to other hosts: our name, routes, patience, safety."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from pyqmail.control.files import (
    ControlError,
    read_integer,
    read_line,
    read_line_or_me,
    read_list,
)
from pyqmail.control.maps import ColonMap
from pyqmail.control.smtproutes import parse_place
from pyqmail.delivery.conversation import Patience

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Settings:
    """The control files of qmail-remote."""

    name: bytes  # what we call ourselves
    routes: ColonMap
    connect_timeout: int  # seconds for one address
    patience: Patience = field(default_factory=Patience)
    sources: tuple[IpAddress, ...] = ()  # addresses of this host that connections come from
    policies: ColonMap = field(default_factory=lambda: ColonMap([]))  # of TLS
    ciphers: str | None = None  # of TLS 1.2

    def source_for(self, version: int) -> tuple[str, int] | None:
        """Return where connections to addresses of this version come from; None: anywhere."""
        return next(((str(each), 0) for each in self.sources if each.version == version), None)


def read_settings(home: str) -> Settings:
    """Read the control files. Raises ControlError."""
    name = read_line_or_me(home, "helohost")
    if name is None:
        raise ControlError("control/me", None, b"file does not exist")
    return Settings(
        name,
        ColonMap(read_list(home, "smtproutes") or []),
        read_integer(home, "timeoutconnect", 60),
        Patience(read_integer(home, "timeoutremote", 0) or None),
        tuple(map(_parse_source, read_list(home, "outgoingip") or [])),
        ColonMap(read_list(home, "tlspolicy") or []),
        (read_line(home, "tlsclientciphers") or b"").decode("ascii", "replace") or None,
    )


def _parse_source(line: bytes) -> IpAddress:
    try:
        return ipaddress.ip_address(line.decode("ascii", "replace"))
    except ValueError as error:
        raise ControlError("control/outgoingip", None, b"no address: " + line[:40]) from error


def read_resolver(home: str) -> tuple[list[str], int]:
    """Return whom control/resolver has us ask, and the port. Raises ControlError."""
    line = read_line(home, "resolver")
    if not line:
        return [], 53
    place = parse_place("resolver", line, 53)
    return [place.host.decode("ascii", "replace").strip("[]")], place.port
