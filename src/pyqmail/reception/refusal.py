"""An SMTP session in which everything that matters is refused: rblsmtpd(1)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.system.streams import Stream

_NAME: Final = b"rblsmtpd.local"
_GREETING: Final = b"220 " + _NAME + b"\r\n"
_ACCEPTED: Final = b"250 " + _NAME + b"\r\n"
_FAREWELL: Final = b"221 " + _NAME + b"\r\n"

# Commands that have no consequences; after them the client learns the reason.
_HARMLESS: Final = frozenset({b"helo", b"ehlo", b"mail", b"rset", b"noop"})
_LONGEST_VERB: Final = 4  # bytes
_KEPT: Final = 8  # bytes of a line: enough to know its verb


async def refuse(stream: Stream, line: bytes, timeout: float) -> None:  # noqa: ASYNC109  of all of it
    """Refuse with the reply `line` until the client leaves, at most `timeout` seconds.

    With no seconds the client is told at once, as a greeting.
    """
    with suppress(OSError, TimeoutError):
        if not timeout:
            await stream.write(line + b"\r\n")
            return
        async with asyncio.timeout(timeout):
            await _hold(stream, line + b"\r\n")


async def _hold(stream: Stream, refusal: bytes) -> None:
    lines = Lines()
    await stream.write(_GREETING)
    while data := await stream.read():
        replies = b""
        for verb in lines.verbs(data):
            if verb == b"quit":
                await stream.write(replies + _FAREWELL)
                return
            replies += _ACCEPTED if verb in _HARMLESS else refusal
        if replies:
            await stream.write(replies)


class Lines:
    """Cuts what comes into lines, and keeps no more of them than their verbs."""

    def __init__(self) -> None:
        self._begun = b""

    def verbs(self, data: bytes) -> Iterator[bytes]:
        """Yield the verb of every line that has ended, in small letters."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield _verb(self._begun + line)
            self._begun = b""
        self._begun = (self._begun + rest)[:_KEPT]


def _verb(line: bytes) -> bytes:
    """Return what stands before the first blank; one CR at the end is not part of the line."""
    return line.removesuffix(b"\r").partition(b" ")[0][: _LONGEST_VERB + 1].lower()
