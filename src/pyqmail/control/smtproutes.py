"""control/smtproutes: relays that take mail instead of a domain's exchangers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError

if TYPE_CHECKING:
    from pyqmail.control.maps import ColonMap

SMTP_PORT: Final = 25
MAX_PORT: Final = 65535

# An IPv6 address stands in brackets, because it has colons. What follows the number is ignored.
_PLACE: Final = re.compile(rb"(\[[^\]]*\]|[^:]*)(?::(\d*).*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Relay:
    """The host that takes the mail instead of its domain's exchangers."""

    host: bytes
    port: int = SMTP_PORT


def find_relay_of(routes: ColonMap, host: bytes) -> Relay | None:
    """Return the relay for mail to `host`; None: its own exchangers. Raises ControlError.

    For `a.b.c` the keys `a.b.c`, `.b.c`, `.c` and the empty one are looked for; the
    first that is there decides.
    """
    value = find_by_suffix(routes, [*suffixes(host), b""])
    return parse_place("smtproutes", value, SMTP_PORT) if value else None


def suffixes(host: bytes) -> list[bytes]:
    """Return the keys for a host, the longest first: `a.b.c`, `.b.c`, `.c`."""
    dots = [position for position, byte in enumerate(host) if byte == ord(".")]
    return [host[start:] for start in (0, *dots) if host[start:]]


def find_by_suffix(table: ColonMap, keys: list[bytes]) -> bytes | None:
    """Return the value of the first key that is there; None if none is."""
    return next((table.get(key) for key in keys if key in table), None)


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
