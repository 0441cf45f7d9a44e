"""The message after DATA, from LF lines to the wire (RFC 5321 §4.1.1.4, §4.5.2).

Every line ends with CR LF there, and a dot at its start is doubled, so that
nothing in a message can end it. A CR that ends no line is replaced by a space:
some receivers take it for a line end, and would see a second message.
"""

from __future__ import annotations

from typing import Final

END_OF_DATA: Final = b".\r\n"


class PartialLastLine(Exception):  # noqa: N818  it says what the message has, not what is wrong here
    """The message does not end with the end of a line, so its end cannot be told."""


class DataEncoder:
    """Give `feed()` the message in any pieces, then call `finish()`. One byte is kept."""

    __slots__ = ("_at_line_start", "_held")

    def __init__(self) -> None:
        self._at_line_start = True
        self._held = b""  # a CR that may be half of a CR LF

    def feed(self, data: bytes) -> bytes:
        """Return the next bytes for the wire."""
        text = self._held + data
        self._held = b""
        if b"\r" in text:
            if text.endswith(b"\r"):
                text, self._held = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b" ")
        if not text:
            return b""
        dot = b"." if self._at_line_start and text.startswith(b".") else b""
        self._at_line_start = text.endswith(b"\n")
        return dot + text.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        """Return the rest, with the end of data. Raises PartialLastLine.

        A CR at the very end counts as the end of a line, as in the original.
        """
        if self._held:
            return b"\r\n" + END_OF_DATA
        if not self._at_line_start:
            raise PartialLastLine
        return END_OF_DATA
