"""What a server tells a checkpassword on descriptor 3; checkpassword(8).

A name, a password and a timestamp, each with a NUL after it; at most 512 bytes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_SIZE: Final = 512  # bytes


class Credentials:
    """Who somebody says he is, and how he shows it.

    `password` may be the answer to a challenge; then the challenge is the
    `timestamp`. Most programs do not look at that.
    """

    __slots__ = ("name", "password", "timestamp")

    def __init__(self, name: bytes, password: bytes, timestamp: bytes = b"") -> None:
        self.name = name
        self.password = password
        self.timestamp = timestamp

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:  # the password belongs in no log
        return f"Credentials({self.name!r})"

    def _key(self) -> tuple[bytes, bytes, bytes]:
        return self.name, self.password, self.timestamp


class Malformed(ValueError):  # noqa: N818  it says what was sent
    """The bytes on descriptor 3 are not what a server sends."""


class TooLarge(ValueError):  # noqa: N818  likewise
    """There are more bytes than anybody may send; no password is that long."""


def encode_credentials(credentials: Credentials) -> bytes:
    """Return what goes to descriptor 3. Raises Malformed or TooLarge."""
    parts = (credentials.name, credentials.password, credentials.timestamp)
    if any(b"\0" in part for part in parts):
        raise Malformed
    data = b"".join(part + b"\0" for part in parts)
    if len(data) > MAX_SIZE:
        raise TooLarge
    return data


def parse_credentials(data: bytes) -> Credentials:
    """Return what a server sent. Raises Malformed or TooLarge.

    Only name and password must be complete, as in the original; what follows
    the timestamp belongs to others.
    """
    if len(data) > MAX_SIZE:
        raise TooLarge
    name, first, rest = data.partition(b"\0")
    password, second, rest = rest.partition(b"\0")
    if not (first and second):
        raise Malformed
    return Credentials(name, password, rest.partition(b"\0")[0])
