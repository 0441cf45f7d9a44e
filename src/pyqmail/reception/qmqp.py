"""One QMQP session with a client that trusts us with its whole queue; qmail-qmqpd(8).

Whatever it sends is queued: who may be a client is for tcpserver's rules to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyqmail.protocol.qmqp import RequestReader
from pyqmail.reception.netstrings import NetstringSession, usable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyqmail.queue.async_client import AsyncQueue
    from pyqmail.system.streams import Stream

BAD_ADDRESS: Final = b"Dsorry, I can't accept addresses like that (#5.1.3)"
TOO_MANY: Final = b"Zsorry, too many recipients (#4.5.3)"


async def serve(environ: Mapping[bytes, bytes], stream: Stream, queue: AsyncQueue) -> int:
    """Hold one session and return its exit code."""
    return await _Session(RequestReader(), environ, stream, queue).hold()


class _Session(NetstringSession):
    protocol = b"QMQP"
    _refusal: bytes | None = None

    def take_reverse_path(self, address: bytes | None) -> None:
        super().take_reverse_path(address)
        if self.envelope.reverse_path is None:
            self._refusal = BAD_ADDRESS

    def take_recipient(self, address: bytes | None) -> None:
        address = usable(address)
        if address is None:
            self._refusal = BAD_ADDRESS
        elif not self.envelope.add(address):
            self._refusal = self._refusal or TOO_MANY

    async def end_package(self) -> None:
        self.finished = True
        if self._refusal is not None:
            await self.withdraw()
            await self.answer([self._refusal])
        else:
            await self.answer([await self.commit()])
