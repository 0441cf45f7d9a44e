"""IP addresses, and TCP connections to other hosts, for programs that must start fast."""

from __future__ import annotations

# The C module: `socket` costs several milliseconds for its enums and its
# buffered files, and such a program needs neither.
import _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_IPV4_NUMBERS: Final = 4
# How IPv6 writes an address of IPv4. RFC 4291 §2.5.5.2.
_IPV4_MAPPED: Final = bytes(10) + b"\xff\xff"


class Address:
    """An IP address: its family, and how the system writes it."""

    __slots__ = ("family", "text")

    def __init__(self, family: int, text: str) -> None:
        self.family = family
        self.text = text


def parse_ip_address(line: bytes) -> Address | None:
    """Return the IP address that `line` begins with; None if there is none.

    As in the original, text after an IPv4 address does not count, and numbers
    count modulo 256.
    """
    numbers = line.split(b".", _IPV4_NUMBERS - 1)
    last = numbers[-1]
    numbers[-1] = last[: len(last) - len(last.lstrip(b"0123456789"))]
    if len(numbers) == _IPV4_NUMBERS and all(number.isdigit() for number in numbers):
        # 256 divides 10 ** 8, so the last digits suffice.
        text = ".".join(str(int(number[-8:]) % 256) for number in numbers)
        return Address(_socket.AF_INET, text)
    try:
        text = line.decode("ascii")
        _socket.inet_pton(_socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    return Address(_socket.AF_INET6, text)


class Connection:
    """A connection to a host; every method raises OSError, TimeoutError if it takes too long.

    `timeout` is in seconds, for one read or write.
    """

    __slots__ = ("_socket",)

    def __init__(self, address: Address) -> None:
        self._socket = _socket.socket(address.family, _socket.SOCK_STREAM)

    def connect(self, address: Address, port: int, timeout: float) -> None:
        """Connect to `port` of `address`."""
        self._socket.settimeout(timeout)
        self._socket.connect((address.text, port))

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of `data`."""
        self._socket.settimeout(timeout)
        rest = memoryview(data)
        while rest:  # not sendall(): its time limit is one for all
            rest = rest[self._socket.send(rest) :]

    def receive(self, size: int, timeout: float) -> bytes:
        """Return the next bytes, at most `size`; b"" at the end."""
        self._socket.settimeout(timeout)
        return self._socket.recv(size)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def network_of(address: bytes) -> bytes:
    """Return what all addresses of one subscriber have in common: an IPv4 address, or 64 bits.

    Text that is no IP address stands for itself.
    """
    text = address.decode("latin-1")
    try:
        packed = _socket.inet_pton(_socket.AF_INET6, text)
    except (OSError, ValueError):
        return address
    if packed.startswith(_IPV4_MAPPED):
        return _socket.inet_ntop(_socket.AF_INET, packed[len(_IPV4_MAPPED) :]).encode()
    return packed[:8].hex().encode()
