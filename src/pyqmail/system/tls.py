"""TLS over any byte stream, and certificates that may change while we run.

OpenSSL reads and writes memory (`ssl.MemoryBIO`), and the bytes go through the
stream that was there before: so it is the same for a socket, for a pair of
pipes and for a test. See docs/decisions for why not asyncio's own.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from pyqmail.system.streams import READ_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyqmail.system.streams import Stream

    Result = TypeVar("Result")

_DAY: Final = 86400  # seconds
_STEPS: Final = 4  # of each side in a handshake, at most
_GOODBYE_TIMEOUT: Final = 5  # seconds for the last word in TLS


class CertificateError(Exception):
    """The certificate, its key or the list of ciphers cannot be used; the text says why."""


class Certificates:
    """A server's certificate file, with chain and key, read again whenever it has changed.

    `tell` hears, once a day, that clients must refuse the certificate.
    """

    def __init__(self, path: str, tell: Callable[[str], None] | None = None) -> None:
        self._path = path
        self._tell = tell
        self._known: tuple[object, ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(self, ciphers: str | None = None) -> ssl.SSLContext | None:
        """Return what a handshake needs, None if there is no certificate. Raises CertificateError.

        `ciphers` is a list as openssl-ciphers(1) has it; TLS 1.3 has its own, which all are good.
        """
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CertificateError(_reason(error)) from error
        file = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        state = (*file, ciphers, int(time.time()) // _DAY)
        if self._context is None or state != self._known:
            self._context = _load(self._path, ciphers)
            self._known = state
            refusal = _rehearse(self._path, self._context)
            if refusal is not None and self._tell is not None:
                self._tell(refusal)
        return self._context


def _load(path: str, ciphers: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # Without the function OpenSSL would ask for a passphrase on the terminal.
        context.load_cert_chain(path, password=no_passphrase)
        if ciphers:
            context.set_ciphers(ciphers)
    except (OSError, ValueError) as error:
        raise CertificateError(_reason(error)) from error
    return context


def _reason(error: Exception) -> str:
    """Return what is wrong, without the name of a file that OpenSSL does not know."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.strerror:
        return error.strerror
    return str(error)


def _rehearse(path: str, server: ssl.SSLContext) -> str | None:
    """Be a client that trusts this very certificate; return why it refuses it all the same.

    So dates are judged as others judge them.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(path)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for end in ends * _STEPS:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except ssl.SSLError:  # the other end has hung up, or the two have no cipher in common
            break
    return None


def no_passphrase() -> bytes:
    """Say that nobody is there to be asked."""
    raise ValueError("the key is locked by a passphrase")


class SecurableStream:
    """A stream that can begin to speak TLS.

    `received` is what came over `stream` before, and is read first.
    """

    def __init__(self, stream: Stream, received: bytes = b"") -> None:
        self._stream = stream
        self._received = received
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    async def read(self) -> bytes:
        """Return what has arrived, waiting for something; b"" at the end."""
        if self._tls is None:
            return self._take_received() or await self._stream.read()
        try:
            return await self._go_on(lambda: self._tls.read(READ_SIZE))  # type: ignore[union-attr]
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes) -> None:
        """Send all of `data`, waiting while the peer is slower than we are."""
        if self._tls is None:
            await self._stream.write(data)
            return
        self._tls.write(data)  # the memory takes all
        await self._flush()

    async def start_tls(self, context: ssl.SSLContext, server: str | None = None) -> None:
        """Speak TLS from here on; raise OSError if the handshake fails.

        The context says whether we are server or client; a client tells the
        name `server` of whom it asked for.
        """
        self._incoming.write(self._take_received())
        serves = context.protocol is ssl.PROTOCOL_TLS_SERVER
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=serves, server_hostname=server
        )
        await self._go_on(self._tls.do_handshake)

    def peer_certificate(self) -> dict[str, object]:
        """Return what ssl.SSLObject.getpeercert() gives; empty if nothing was verified."""
        certificate = None if self._tls is None else self._tls.getpeercert()
        return dict(certificate or {})

    def last_words(self, data: bytes) -> bytes:
        """Return the bytes to send for `data` and the end of TLS, for who will wait for no answer.

        Empty if TLS is in no state to say anything.
        """
        if self._tls is None:
            return data
        with suppress(ssl.SSLError):
            if data:
                self._tls.write(data)
            self._tls.unwrap()
        return self._outgoing.read()

    async def end_tls(self) -> None:
        """Say that nothing more will come, if it is TLS that is spoken and anybody listens."""
        if self._tls is not None:
            with suppress(OSError):
                async with asyncio.timeout(_GOODBYE_TIMEOUT):
                    with suppress(ssl.SSLError):
                        self._tls.unwrap()
                    await self._flush()

    def _take_received(self) -> bytes:
        received, self._received = self._received, b""
        return received

    async def _go_on(self, step: Callable[[], Result]) -> Result:
        """Do `step`, giving it what arrives until it is satisfied."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._stream.read()
                self._incoming.write(data) if data else self._incoming.write_eof()
            except ssl.SSLError:
                with suppress(OSError):
                    await self._flush()  # the alert that says why
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._stream.write(self._outgoing.read())
