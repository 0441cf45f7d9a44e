"""Addresses on their way to another host: as MAIL and RCPT show them.

An address with bytes beyond ASCII is an internationalized one if it is UTF-8
(RFC 6531 §3.3). If it is not, no standard knows it, and it goes out as it is.
"""

from __future__ import annotations

from typing import Final

from pyqmail.delivery.exchangers import ascii_name
from pyqmail.message.address import needs_quotes, quote_address, split_address

_ASCII: Final = range(128)


def breaks_lines(address: bytes) -> bool:
    """Would the address end the command that it stands in?"""
    return b"\r" in address or b"\n" in address


def is_international(address: bytes) -> bool:
    """Does the address need SMTPUTF8, in the form that it has?"""
    if address.isascii():
        return False
    try:
        address.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def wire_form(address: bytes) -> bytes:
    """Return the address as it stands in MAIL and RCPT; without a domain, as it is."""
    return address if split_address(address)[1] is None else quote_address(address)


def international_form(address: bytes) -> bytes:
    """Return an internationalized address for a host that knows them: quoted only for ASCII."""
    local, domain = split_address(address)
    letters = bytes(byte if byte in _ASCII else ord("x") for byte in local)
    return wire_form(address) if domain is None or needs_quotes(letters) else address


def ascii_form(address: bytes) -> bytes | None:
    """Return an internationalized address for a host that knows none; None if it has no such form.

    It has one if only the domain is beyond ASCII: that is the same domain in
    the DNS's own spelling (RFC 5890 §2.3.2.1).
    """
    local, domain = split_address(address)
    if domain is None or not local.isascii():
        return None
    spelled = ascii_name(domain)
    return wire_form(local + b"@" + spelled) if spelled.isascii() else None
