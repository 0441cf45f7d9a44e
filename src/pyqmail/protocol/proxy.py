"""The PROXY protocol, versions 1 and 2: for whom a proxy speaks.

A proxy that is trusted sends one header before anything else. It is HAProxy's
protocol; its description calls the parts as they are called here.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass
from typing import Final

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_HEADER_SIZE: Final = 16  # bytes of version 2 before the addresses
_MAX_LINE: Final = 107  # bytes of version 1, CR LF included
_MAX_REST: Final = 2048  # bytes of version 2 after its header; TLVs of certificates are larger
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")
_MAX_PORT: Final = 65535

# Length of an address for each family and protocol of version 2 that is TCP.
_ADDRESS_SIZES: Final = {0x11: 4, 0x21: 16}


class ProxyError(Exception):
    """What came is no PROXY header: nobody knows who the client is."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of the connection to the proxy, as text."""

    remote_ip: bytes
    remote_port: bytes
    local_ip: bytes
    local_port: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """A complete header; `ends` is None if the proxy speaks for itself, `rest` what came after."""

    ends: Ends | None
    rest: bytes


def parse_header(received: bytes) -> Header | None:
    """Return the header at the start, None while it is not complete. Raises ProxyError."""
    if received.startswith(_SIGNATURE):
        return _parse_version_2(received)
    if _SIGNATURE.startswith(received):
        return None
    line, crlf, rest = received.partition(b"\r\n")
    if not b"PROXY ".startswith(line[:6]) or len(line) + len(b"\r\n") > _MAX_LINE:
        raise ProxyError
    return Header(_parse_line(line), rest) if crlf else None


def _parse_line(line: bytes) -> Ends | None:
    words = line.split(b" ")
    if words[:2] == [b"PROXY", b"UNKNOWN"]:
        return None
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):  # noqa: PLR2004
        raise ProxyError
    _, family, remote, local, remote_port, local_port = words
    version = 4 if family == b"TCP4" else 6
    for port in (remote_port, local_port):
        if not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
            raise ProxyError
    return Ends(
        _parse_address(remote, version), remote_port, _parse_address(local, version), local_port
    )


def _parse_address(text: bytes, version: int) -> bytes:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError as error:
        raise ProxyError from error
    if address.version != version or b"%" in text:
        raise ProxyError
    return str(address).encode()


def _parse_version_2(received: bytes) -> Header | None:
    if len(received) < _HEADER_SIZE:
        return None
    command, family, size = struct.unpack_from(">BBH", received, len(_SIGNATURE))
    if command not in (_LOCAL, _PROXY) or size > _MAX_REST:
        raise ProxyError
    end = _HEADER_SIZE + size
    if len(received) < end:
        return None
    width = _ADDRESS_SIZES.get(family)
    if command == _LOCAL or width is None:
        return Header(None, received[end:])
    if size < 2 * width + 4:
        raise ProxyError
    layout = struct.Struct(f">{width}s{width}sHH")
    remote, local, remote_port, local_port = layout.unpack_from(received, _HEADER_SIZE)
    ends = Ends(_text(remote), b"%d" % remote_port, _text(local), b"%d" % local_port)
    return Header(ends, received[end:])


def _text(address: bytes) -> bytes:
    return str(ipaddress.ip_address(address)).encode()
