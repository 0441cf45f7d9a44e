"""A connection to another host, which may carry one message after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyqmail.protocol.smtp.client import ClientSession
from pyqmail.system.streams import ConnectionStream

if TYPE_CHECKING:
    import asyncio

MAX_TRANSACTIONS: Final = 100  # over one connection: some hosts refuse more


class Connection(ConnectionStream):
    """A connection that we have opened, and close; `name` is what we call ourselves."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: bytes
    ) -> None:
        super().__init__(reader, writer)
        self._transport = writer.transport
        self.session = ClientSession(name)
        self.transactions = 0

    @property
    def reusable(self) -> bool:
        """Can another transaction begin?"""
        open_still = not self._transport.is_closing()
        return open_still and self.session.reusable and self.transactions < MAX_TRANSACTIONS

    def close(self) -> None:
        """Say goodbye, if anybody listens, and close; nobody waits for either."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
            return
        self.session.quit()
        if not self._transport.is_closing():
            self._transport.write(self.session.data_to_send())
        self._transport.close()
