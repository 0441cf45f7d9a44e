"""From an address to a connection that is ready for mail: greeting, names, TLS, login."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import TYPE_CHECKING, Final

from pyqmail.delivery.connection import Connection
from pyqmail.delivery.outcome import Outcome
from pyqmail.delivery.remote_texts import (
    OUT_OF_RESOURCES,
    Undeliverable,
    connection_died,
    quoted,
)
from pyqmail.protocol.smtp.server_reply import MalformedReply

if TYPE_CHECKING:
    from pyqmail.delivery.hops import Hop
    from pyqmail.delivery.routes import Settings
    from pyqmail.protocol.smtp.client import Answer
    from pyqmail.queue.suspension import Suspension

IPV6: Final = 6


class Unopened(Exception):  # noqa: N818  the outcome says whether it is an error
    """There is no connection; `outcome` says why. None: nobody answered, or nobody was asked."""

    def __init__(self, outcome: Outcome | None) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Opener:
    """Opens connections for a home."""

    def __init__(self, home: str, suspension: Suspension) -> None:
        self._home = home
        self._suspension = suspension

    async def open(self, hop: Hop, settings: Settings) -> Connection:
        """Return a connection that is ready for a transaction. Raises Unopened, Undeliverable."""
        connection = await self._connect(hop, settings)
        try:
            await _be_greeted(connection)
        except (OSError, MalformedReply) as error:  # TimeoutError is an OSError
            connection.close()
            report = connection_died(connection.partner, after_the_end=False)
            raise Unopened(Outcome([], report, elsewhere=True)) from error
        except Unopened:
            connection.close()
            raise
        return connection

    async def _connect(self, hop: Hop, settings: Settings) -> Connection:
        address = hop.address
        if self._suspension.is_suspended(address.packed, int(time.time())):
            raise Unopened(None)
        try:
            async with asyncio.timeout(settings.connect_timeout):
                reader, writer = await asyncio.open_connection(
                    str(address), hop.port, local_addr=settings.source_for(address.version)
                )
        except OSError as error:
            if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
                self._suspension.note_timeout(address.packed, int(time.time()))
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise Undeliverable(OUT_OF_RESOURCES) from error
            raise Unopened(None) from error
        self._suspension.note_success(address.packed)
        partner = str(address).encode()
        return Connection(reader, writer, settings.name, partner, settings.patience)


async def _be_greeted(connection: Connection) -> None:
    """Hear the greeting and say our name. Raises Unopened if one of them leads nowhere."""
    for words in (b" but greeting failed", b" but my name was rejected"):
        answer = await connection.conversation.answer()
        if not answer.accepted:
            raise Unopened(_refused(connection.partner, words, answer))


def _refused(partner: bytes, words: bytes, answer: Answer) -> Outcome:
    report = b"ZConnected to " + partner + words + b".\n" + quoted(answer.reply.text)
    return Outcome([], report, elsewhere=True)
