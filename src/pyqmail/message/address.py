"""Addresses: `local-part@domain`, and how a local part is quoted (RFC 5321 §4.1.2).

Inside the family an address is bare: no quotes, no backslashes, any byte. It is
quoted where it goes into a header field or onto the wire.
"""

from __future__ import annotations

# Printable ASCII without the specials of RFC 5322 §3.2.3; the dot is judged apart.
_PLAIN = bytes(byte for byte in range(33, 127) if byte not in b'"(),:;<>@[\\]')


def needs_quotes(local: bytes) -> bool:
    """Is `local` something else than a dot-string (RFC 5321 §4.1.2)?"""
    return (
        not local
        or local.startswith(b".")
        or local.endswith(b".")
        or b".." in local
        or bool(local.translate(None, _PLAIN))
    )


def quote(local: bytes) -> bytes:
    """Return the local part as a header field or SMTP shows it: quoted only if it must be."""
    if not needs_quotes(local):
        return local
    for byte in b'\\\r\n"':  # the backslash first: the others add some
        character = bytes((byte,))
        local = local.replace(character, b"\\" + character)
    return b'"' + local + b'"'


def unquote(text: bytes) -> bytes:
    """Return the local part that `quote()` has shown as `text`."""
    if not text.startswith(b'"'):
        return text
    pieces = text[1:-1].split(b"\\\\")
    return b"\\".join(piece.replace(b"\\", b"") for piece in pieces)


def split_address(address: bytes) -> tuple[bytes, bytes | None]:
    """Split at the last `@`; the domain is None where there is no `@`."""
    local, at, domain = address.rpartition(b"@")
    return (local, domain) if at else (address, None)


def quote_address(address: bytes) -> bytes:
    """Return `address` with its local part quoted if it must be; empty stays empty."""
    if not address:
        return address
    local, domain = split_address(address)
    return quote(local) if domain is None else quote(local) + b"@" + domain
