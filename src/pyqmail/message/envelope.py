"""The envelope: one reverse path, and forward paths (RFC 5321 §2.3.1).

Two reverse paths are special: nobody, and a bounce of a bounce. A third form
ends in `-@[]`; it is expanded for each recipient (VERP).
"""

from __future__ import annotations

from pyqmail.message.address import split_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NULL = b""  # a bounce: must not cause another to its sender. RFC 5321 §4.5.5.
DOUBLE_BOUNCE = b"#@[]"  # no address can be this one: `#` at no host
VERP_SUFFIX = b"-@[]"

_LOOSE_PATHS = 1000  # an object for each of these costs no memory worth saving


class Envelope:
    """Where a message comes from, and where it goes; a value."""

    __slots__ = ("forward_paths", "reverse_path")

    def __init__(self, reverse_path: bytes, forward_paths: Sequence[bytes]) -> None:
        self.reverse_path = reverse_path
        self.forward_paths = tuple(forward_paths)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Envelope):
            return NotImplemented
        return self.reverse_path == other.reverse_path and self.forward_paths == other.forward_paths

    def __hash__(self) -> int:
        return hash((self.reverse_path, self.forward_paths))

    def __repr__(self) -> str:
        return f"Envelope({self.reverse_path!r}, {self.forward_paths!r})"


class PackedPaths:
    """Forward paths that a message may have a million of; a path ends at its first NUL."""

    __slots__ = ("_loose", "_packed")

    def __init__(self) -> None:
        self._packed = bytearray()
        self._loose: list[bytes] = []  # the latest

    def append(self, path: bytes) -> None:
        """Take one more path."""
        self._loose.append(path if b"\0" not in path else before_nul(path))
        if len(self._loose) == _LOOSE_PATHS:
            self._packed += b"\0".join(self._loose) + b"\0"
            self._loose.clear()

    def __iter__(self) -> Iterator[bytes]:
        start = 0
        while start < len(self._packed):
            end = self._packed.index(b"\0", start)
            yield bytes(self._packed[start:end])
            start = end + 1
        yield from self._loose


def before_nul(path: bytes) -> bytes:
    """Return what an envelope keeps of `path`: there, a NUL ends it."""
    return path.partition(b"\0")[0]


def expand_verp(reverse_path: bytes, forward_path: bytes) -> bytes:
    """Return the reverse path that the delivery to `forward_path` gets.

    `list-@host-@[]` becomes `list-box=domain@host` for `box@domain`, so that a
    bounce names the address that caused it. Any other path stays as it is.
    """
    if not reverse_path.endswith(VERP_SUFFIX):
        return reverse_path
    prefix, host = split_address(reverse_path.removesuffix(VERP_SUFFIX))
    local, domain = split_address(forward_path)
    if host is None or domain is None:
        return reverse_path
    return prefix + local + b"=" + domain + b"@" + host
