"""The IP addresses of this machine."""

from __future__ import annotations

import fcntl
import socket
import struct
from array import array
from typing import Final

_SIOCGIFCONF: Final = 0x8912  # netdevice(7)
_SIOCGIFFLAGS: Final = 0x8913
_IFF_UP: Final = 1
_MOST: Final = 4096  # interfaces that are asked for
_RECORD: Final = struct.Struct("16sHxx4s16x" if struct.calcsize("P") == 8 else "16sHxx4s8x")  # noqa: PLR2004
_CONFIGURATION: Final = struct.Struct("iP")
_IPV6_TABLE: Final = "/proc/net/if_inet6"


def local_addresses() -> frozenset[bytes]:
    """Return the addresses of all interfaces that are up, packed: 4 bytes or 16.

    0.0.0.0 is one of them: it means this host (RFC 1122 §3.2.1.3). Raises
    OSError if they cannot be found out.
    """
    return frozenset((bytes(4), *_ipv4_addresses(), *_ipv6_addresses()))


def _ipv4_addresses() -> list[bytes]:
    buffer = array("B", bytes(_RECORD.size * _MOST))
    place, _ = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, _SIOCGIFCONF, _CONFIGURATION.pack(len(buffer), place))
        length, _ = _CONFIGURATION.unpack(answer)
        records = _RECORD.iter_unpack(buffer.tobytes()[:length])
        return [
            address
            for name, family, address in records
            if family == socket.AF_INET and _is_up(asking, name)
        ]


def _is_up(asking: socket.socket, name: bytes) -> bool:
    try:
        answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, struct.pack("16sH22x", name, 0))
    except OSError:
        return False  # it went away meanwhile
    (flags,) = struct.unpack_from("H", answer, 16)
    return bool(flags & _IFF_UP)


def _ipv6_addresses() -> list[bytes]:
    try:
        with open(_IPV6_TABLE, "rb") as table:
            return [bytes.fromhex(line.split()[0].decode("ascii")) for line in table]
    except FileNotFoundError:
        return []  # a kernel without IPv6
