"""Look-up tables made of lists: locals, virtualdomains, percenthack, smtproutes, mailnames.

Keys match without regard to ASCII case. Of several lines with one key the
last wins; in users/assign it is the first, see `assign`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class ConstantMap:
    """A set of whole lines: `key in map`."""

    __slots__ = ("_keys",)

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._keys = {line.lower() for line in lines}

    def __contains__(self, key: bytes) -> bool:
        return key.lower() in self._keys

    def __len__(self) -> int:
        return len(self._keys)


class ColonMap:
    """A table of lines `KEY:VALUE`; lines without a colon are left out.

    The key ends at the first colon and may be empty.
    """

    __slots__ = ("_values",)

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._values: dict[bytes, bytes] = {}
        for line in lines:
            key, colon, value = line.partition(b":")
            if colon:
                self._values[key.lower()] = value

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`; None if there is none."""
        return self._values.get(key.lower())

    def __contains__(self, key: bytes) -> bool:
        return key.lower() in self._values

    def __len__(self) -> int:
        return len(self._values)
