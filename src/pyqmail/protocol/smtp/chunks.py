"""A message in chunks (BDAT, RFC 3030), from the wire to LF lines.

The client says how long each chunk is, so where commands go on is never in
doubt, whatever the bytes are. A bare LF breaks the message here, too: the
next host may get it by DATA.
"""

from __future__ import annotations


class ChunkDecoder:
    """Call `begin()` for each chunk, then `feed()` with exactly what `missing` allows.

    A CR at the end of a chunk is kept until the next: its LF may come there.
    """

    __slots__ = ("_held", "broken", "last", "missing")

    def __init__(self) -> None:
        self._held = b""
        self.missing = 0  # bytes of this chunk that have not come
        self.last = False
        self.broken = False  # there was a bare LF; nothing of the message comes out any more

    def begin(self, size: int, *, last: bool) -> None:
        """Expect the next chunk."""
        self.missing = size
        self.last = last

    def feed(self, received: bytes) -> bytes:
        """Return the next bytes of the message."""
        assert len(received) <= self.missing, "the caller takes no more than that"
        self.missing -= len(received)
        if self.broken:
            return b""
        text = self._held + received
        self._held = b""
        if text.endswith(b"\r") and (self.missing or not self.last):
            text, self._held = text[:-1], b"\r"
        if text.count(b"\n") != text.count(b"\r\n"):
            self.broken = True
            return b""
        return text.replace(b"\r\n", b"\n")
