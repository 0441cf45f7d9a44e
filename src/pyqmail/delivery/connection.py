"""A connection to another host, which may carry one message after the other."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final

from pyqmail.delivery.conversation import Conversation
from pyqmail.delivery.smtp_transaction import Transaction
from pyqmail.protocol.smtp.client import ClientSession
from pyqmail.system.streams import ConnectionStream
from pyqmail.system.tls import SecurableStream

if TYPE_CHECKING:
    from pyqmail.delivery.composition import Envelope
    from pyqmail.delivery.conversation import Patience
    from pyqmail.delivery.outcome import Outcome
    from pyqmail.delivery.outgoing import OutgoingMessage

MAX_TRANSACTIONS: Final = 100  # over one connection: some hosts refuse more
# Bytes that the system may keep for a host that does not take them. Without a bound it takes a
# whole message for a host that reads a byte now and then, and no time-out would see that.
MAX_UNSENT: Final = 131_072
_FORGET_UNSENT: Final = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER
MAX_AGE: Final = 300  # seconds, of a connection that is used again: who stays for ever is a burden


class Connection:
    """A connection that we have opened, and close; `partner` is the host's address as text."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        name: bytes,
        partner: bytes,
        patience: Patience,
    ) -> None:
        self._reader = reader
        self._transport = writer.transport
        self._socket = writer.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT)
        self._stream = SecurableStream(ConnectionStream(reader, writer))
        self.partner = partner
        self.conversation = Conversation(self._stream, ClientSession(name), patience)
        self.transactions = 0
        self._opened = asyncio.get_running_loop().time()

    @property
    def reusable(self) -> bool:
        """Can another transaction begin, and should it?

        Not after one that came to nothing: where a host refuses mail, it sees what
        the original would have done.
        """
        session = self.conversation.session
        open_still = not (self._transport.is_closing() or self._reader.at_eof())
        age = asyncio.get_running_loop().time() - self._opened
        worn = self.transactions >= MAX_TRANSACTIONS or age > MAX_AGE
        return open_still and session.idle and not session.needs_reset and not worn

    async def hand_over(self, envelope: Envelope, message: OutgoingMessage) -> Outcome:
        """Return what became of the message; nothing that a peer does raises."""
        first = not self.transactions
        self.transactions += 1
        transaction = Transaction(self.conversation, self.partner, first=first)
        return await transaction.run(envelope, message)

    def close(self) -> None:
        """Say goodbye, if anybody listens, and close; nobody waits for either."""
        self.conversation.close()
        session = self.conversation.session
        if session.undecided and not self._transport.is_closing():
            # What has not been sent must not be sent afterwards: it may be the end of a message
            # that we report as not delivered.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET_UNSENT)
        if session.undecided or self._transport.get_write_buffer_size():
            self._transport.abort()
            return
        session.quit()
        if not self._transport.is_closing():
            data = session.data_to_send()
            self._transport.write(self._stream.last_words(data))
        self._transport.close()
