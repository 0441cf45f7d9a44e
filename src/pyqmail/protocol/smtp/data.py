"""The message after DATA, from the wire to LF lines (RFC 5321 §4.1.1.4, §4.5.2).

Only CR LF . CR LF ends it. A bare CR is a byte like any other; a bare LF
breaks the message, because servers that took it for a line end have been
made to see a second message inside of one.
"""

from __future__ import annotations

import re
from typing import Final

_END: Final = b"\r\n.\r\n"
# A dot at the start of a line is not the client's, unless CR follows it: that
# was no end of data, so it was no transparency either. The original has it so.
_STUFFING: Final = re.compile(rb"\r\n\.(?!\r)")


class BareLineFeed(Exception):  # noqa: N818  RFC 5321 §2.3.8 calls it so
    """The message has an LF without CR; nothing after it may be understood."""


class DataDecoder:
    """Give `feed()` what arrives until `finished`; `rest` is what came after the end.

    At most four bytes are kept between calls.
    """

    __slots__ = ("_held", "_started", "finished", "rest")

    def __init__(self) -> None:
        # The CR LF of the DATA command: so `.` may be the first line, too.
        self._held = _END[:2]
        self._started = False
        self.finished = False
        self.rest = b""

    def feed(self, received: bytes) -> bytes:
        """Return the next bytes of the message. Raises BareLineFeed."""
        text = self._take_complete(self._held + received)
        if text.count(b"\n") != text.count(b"\r\n"):
            raise BareLineFeed
        if b"\r\n." in text:
            text = _STUFFING.sub(b"\r\n", text)
        text = text.replace(b"\r\n", b"\n")
        if text and not self._started:
            self._started = True
            return text[1:]
        return text

    def _take_complete(self, text: bytes) -> bytes:
        """Return what is known to be in the message; hold what may be part of its end."""
        end = text.find(_END)
        if end >= 0:
            self.finished = True
            self.rest = text[end + len(_END) :]
            return text[: end + 2]
        held = next(n for n in (4, 3, 2, 1, 0) if text.endswith(_END[:n]))
        self._held = _END[:held]
        return text[: len(text) - held]
