"""From an address to a connection that is ready for mail: greeting, names, TLS, login."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import TYPE_CHECKING, Final

from pyqmail.control.tlspolicy import Policy
from pyqmail.delivery.connection import Connection
from pyqmail.delivery.hops import SMTPS_PORT
from pyqmail.delivery.introduction import Introduction, TlsFailed, Unopened
from pyqmail.delivery.outcome import Outcome
from pyqmail.delivery.remote_texts import (
    OUT_OF_RESOURCES,
    UNREADABLE_CONTROL,
    Undeliverable,
    connection_died,
    tls_failed,
)
from pyqmail.protocol.smtp.server_reply import MalformedReply
from pyqmail.system.tls import CertificateError
from pyqmail.system.tls_client import ClientContexts

if TYPE_CHECKING:
    import ssl

    from pyqmail.delivery.hops import Hop
    from pyqmail.delivery.routes import Settings
    from pyqmail.queue.suspension import Suspension

_NONE_LEFT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Opener:
    """Opens connections for a home."""

    def __init__(self, home: str, suspension: Suspension) -> None:
        control = home + "/control/"
        self._contexts = ClientContexts(control + "clientcert.pem", control + "serverca.pem")
        self._suspension = suspension

    async def open(self, hop: Hop, settings: Settings) -> Connection:
        """Return a connection that is ready for a transaction. Raises Unopened, Undeliverable."""
        context = self._context(hop, settings)
        try:
            return await self._open(hop, settings, context)
        except TlsFailed as failure:
            if hop.security.demanded:
                partner = str(hop.address).encode()
                report = tls_failed(partner, failure.reason)
                raise Unopened(Outcome([], report, elsewhere=True)) from failure
        # Where TLS may be, its failure must not be worse than its absence.
        return await self._open(hop, settings, None)

    async def _open(
        self, hop: Hop, settings: Settings, context: ssl.SSLContext | None
    ) -> Connection:
        connection = await self._connect(hop, settings)
        introduction = Introduction(connection.conversation, connection.partner, hop, context)
        try:
            await introduction.make(tls_first=hop.port == SMTPS_PORT)
        except (OSError, MalformedReply) as error:  # TimeoutError is an OSError
            connection.close()
            report = connection_died(connection.partner, after_the_end=False)
            raise Unopened(Outcome([], report, elsewhere=True)) from error
        except (Unopened, TlsFailed):
            connection.close()
            raise
        return connection

    def _context(self, hop: Hop, settings: Settings) -> ssl.SSLContext | None:
        """Return what TLS needs; None where the policy is that there is none."""
        policy = hop.security.policy
        if policy is Policy.NONE:
            return None
        try:
            return self._contexts.context(
                lenient=policy is Policy.MAY,
                verify=policy is Policy.VERIFY,
                ciphers=settings.ciphers,
            )
        except CertificateError as error:
            raise Undeliverable(UNREADABLE_CONTROL) from error

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
            if error.errno in _NONE_LEFT:
                raise Undeliverable(OUT_OF_RESOURCES) from error
            raise Unopened(None) from error
        self._suspension.note_success(address.packed)
        partner = str(address).encode()
        return Connection(reader, writer, settings.name, partner, settings.patience)
