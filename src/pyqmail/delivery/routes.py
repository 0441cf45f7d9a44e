"""What the administrator says about mail to other hosts: routes, our name, patience."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from pyqmail.control.files import (
    ControlError,
    read_integer,
    read_line,
    read_line_or_me,
    read_list,
)
from pyqmail.control.maps import ColonMap
from pyqmail.delivery.conversation import Patience

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

SMTP_PORT: Final = 25
MAX_PORT: Final = 65535

# An IPv6 address stands in brackets, because it has colons. What follows the number is ignored.
_PLACE: Final = re.compile(rb"(\[[^\]]*\]|[^:]*)(?::(\d*).*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Relay:
    """The host that takes the mail instead of its domain's exchangers."""

    host: bytes
    port: int = SMTP_PORT


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


def find_relay_of(routes: ColonMap, host: bytes) -> Relay | None:
    """Return the relay for mail to `host`; None: its own exchangers. Raises ControlError.

    For `a.b.c` the keys `a.b.c`, `.b.c`, `.c` and the empty one are looked for; the
    first that is there decides.
    """
    dots = [position for position, byte in enumerate(host) if byte == ord(".")]
    for start in (0, *dots, len(host)):
        value = routes.get(host[start:])
        if value is not None:
            return parse_place("smtproutes", value, SMTP_PORT) if value else None
    return None


def parse_place(name: str, text: bytes, default: int) -> Relay:
    """Return host and port in `HOST:PORT` or `[IPv6]:PORT`, as control/`name` has it."""
    match = _PLACE.fullmatch(text)
    assert match, "the expression matches every text"
    host, digits = match[1], match[2]
    if host.startswith(b"[") and not host.endswith(b"]"):
        raise ControlError("control/" + name, None, b"no address: " + text[:40])
    if not digits:
        return Relay(host, default)
    number = digits.lstrip(b"0") or b"0"
    if len(number) > len(str(MAX_PORT)) or int(number) > MAX_PORT:
        raise ControlError("control/" + name, None, b"no port: " + digits[:40])
    return Relay(host, int(number))
