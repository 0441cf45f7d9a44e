"""One QMTP session with a client that sends mail; qmail-qmtpd(8)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError, read_line
from pyqmail.errors import TRANSIENT
from pyqmail.protocol.qmtp import MAX_ADDRESS, PackageReader
from pyqmail.reception.netstrings import NetstringSession, usable
from pyqmail.reception.relaying import RelayDomains
from pyqmail.reception.settings import read_max_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyqmail.queue.async_client import AsyncQueue
    from pyqmail.system.streams import Stream

BAD_SENDER: Final = b"Dunacceptable sender (#5.1.7)"
TOO_LARGE: Final = b"Dsorry, that message size exceeds my databytes limit (#5.3.4)"

# What is remembered of each recipient: the first shares the answer to the message.
_TAKEN, _NO_RELAYING, _UNUSABLE, _NO_ROOM = range(4)
_REFUSALS: Final = {
    _NO_RELAYING: b"Dsorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    _UNUSABLE: b"Dsorry, I can't handle that recipient (#5.1.3)",
    _NO_ROOM: b"Zsorry, too many recipients (#4.5.3)",
}

# Recipients of one message that are answered at all, taken or not. A list of empty addresses
# would otherwise cost memory for hundreds of millions of answers.
MAX_RECIPIENTS: Final = 1000000


async def serve(
    home: str,
    environ: Mapping[bytes, bytes],
    stream: Stream,
    queue: AsyncQueue,
    *,
    log: Callable[[bytes], None] | None = None,
) -> int:
    """Hold one session and return its exit code. `log` gets a line about what should be mended."""
    try:
        session = _Session(home, environ, stream, queue)
    except ControlError as error:
        if log is not None:
            log(error.text)
        return TRANSIENT
    return await session.hold()


class _Session(NetstringSession):
    """Reads the control files when it is made. Raises ControlError."""

    protocol = b"QMTP"

    def __init__(
        self, home: str, environ: Mapping[bytes, bytes], stream: Stream, queue: AsyncQueue
    ) -> None:
        super().__init__(PackageReader(), environ, stream, queue)
        if not os.path.isdir(home):
            raise ControlError(home, None, b"no home")
        read_line(home, "me")  # not used, but whoever made it unreadable wants to know
        self._domains = RelayDomains.read(home)
        self._suffix = environ.get(b"RELAYCLIENT")
        self._verdicts = bytearray()
        self.max_size = read_max_size(home, environ)

    def take_recipient(self, address: bytes | None) -> None:
        if len(self._verdicts) >= MAX_RECIPIENTS:
            raise MemoryError
        self._verdicts.append(self._judge(address))

    def _judge(self, address: bytes | None) -> int:
        suffix = self._suffix or b""
        if address is None or len(address) + len(suffix) > MAX_ADDRESS:
            return _UNUSABLE
        if self._suffix is None and not self._domains.take(address):
            return _NO_RELAYING
        if usable(address) is None:
            return _UNUSABLE
        return _TAKEN if self.envelope.add(address + suffix) else _NO_ROOM

    async def end_package(self) -> None:
        verdicts, self._verdicts = self._verdicts, bytearray()
        shared = await self._dispose()
        await self.answer(_REFUSALS.get(verdict, shared) for verdict in verdicts)

    async def _dispose(self) -> bytes:
        """Queue the message or let go of it; return the answer for whom nothing else is wrong."""
        too_large = self.too_large
        if not too_large and self.envelope.reverse_path is not None and self.envelope.forward_paths:
            return await self.commit()
        await self.withdraw()
        return TOO_LARGE if too_large else BAD_SENDER
