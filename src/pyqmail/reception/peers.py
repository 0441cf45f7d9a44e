"""Clients that speak for others, and what we know then; qmail-smtpd(8)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyqmail.protocol.proxy import Ends

# What was found out about the client in whose place another stands now; his
# right to relay is his own.
_OF_THE_CLIENT: Final = (
    b"RELAYCLIENT",
    b"TCPREMOTEHOST",
    b"TCPREMOTEINFO",
)

# What XCLIENT may say, and the variables for it.
INTRODUCTIONS: Final[Mapping[bytes, bytes]] = {
    b"NAME": b"TCPREMOTEHOST",
    b"ADDR": b"TCPREMOTEIP",
    b"PORT": b"TCPREMOTEPORT",
    b"DESTADDR": b"TCPLOCALIP",
    b"DESTPORT": b"TCPLOCALPORT",
}
_ADDRESSES: Final = (b"ADDR", b"DESTADDR")


class NoAddress(ValueError):  # noqa: N818  XCLIENT's attribute is no IP address
    """What should be an IP address is none."""


def behind_proxy(environ: Mapping[bytes, bytes], ends: Ends) -> dict[bytes, bytes]:
    """Return the variables for a client that a proxy names."""
    return _without_client(environ) | {
        b"TCPREMOTEIP": ends.remote_ip,
        b"TCPREMOTEPORT": ends.remote_port,
        b"TCPLOCALIP": ends.local_ip,
        b"TCPLOCALPORT": ends.local_port,
    }


def introduced(
    environ: Mapping[bytes, bytes], attributes: Mapping[bytes, bytes | None]
) -> dict[bytes, bytes]:
    """Return the variables for a client that XCLIENT names. Raises NoAddress.

    What it calls unavailable is not set; what it does not mention stays, but
    for the name and the rights of who speaks.
    """
    changed = _without_client(environ)
    for attribute, variable in INTRODUCTIONS.items():
        if attribute not in attributes:
            continue
        value = attributes[attribute]
        if value is None:
            changed.pop(variable, None)
        else:
            changed[variable] = _address(value) if attribute in _ADDRESSES else value
    return changed


def _without_client(environ: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: value for name, value in environ.items() if name not in _OF_THE_CLIENT}


def _address(text: bytes) -> bytes:
    if text[:5].upper() == b"IPV6:":
        text = text[5:]
    try:
        return str(ipaddress.ip_address(text.decode("ascii"))).encode()
    except ValueError as error:
        raise NoAddress from error
