"""What a client of TLS brings along: whom it believes, and its own certificate."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Final

from pyqmail.system.tls import CertificateError, no_passphrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# For who takes any certificate: old TLS can be broken, but what is not TLS need not even be.
_ANY: Final = "DEFAULT:@SECLEVEL=0"


class ClientContexts:
    """Contexts for the handshakes of a client; files are read again whenever they have changed.

    `certificate` is the path of our own certificate, with chain and key;
    `authorities` that of those we believe, instead of the system's. Either may be absent.
    """

    def __init__(self, certificate: str, authorities: str) -> None:
        self._certificate = certificate
        self._authorities = authorities
        self._made: dict[tuple[bool, bool, str | None], tuple[object, ssl.SSLContext]] = {}

    def context(
        self, *, lenient: bool = False, verify: bool = False, ciphers: str | None = None
    ) -> ssl.SSLContext:
        """Return what a handshake needs. Raises CertificateError.

        `verify`: believe the server; whose certificate it is, is the caller's to check.
        `lenient`: take what is older than TLS 1.2, too. `ciphers` are those of
        TLS 1.2, as openssl-ciphers(1) has them.
        """
        key = (lenient, verify, ciphers)
        state = (_state_of(self._certificate), _state_of(self._authorities))
        known, context = self._made.get(key, (None, None))
        if context is None or known != state:
            context = self._make(lenient=lenient, verify=verify, ciphers=ciphers)
            self._made[key] = (state, context)
        return context

    def _make(self, *, lenient: bool, verify: bool, ciphers: str | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if lenient:
                context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
                context.set_ciphers(_ANY)
            if ciphers:
                context.set_ciphers(ciphers)
            if os.path.exists(self._certificate):
                # Without the function OpenSSL would ask for a passphrase on the terminal.
                context.load_cert_chain(self._certificate, password=no_passphrase)
            if verify and os.path.exists(self._authorities):
                context.load_verify_locations(self._authorities)
            elif verify:
                context.load_default_certs()
        except (OSError, ValueError) as error:
            raise CertificateError(str(error)) from error
        return context


def _state_of(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CertificateError(str(error)) from error
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def certified_names(certificate: Mapping[str, object]) -> Iterator[str]:
    """Yield the host names and addresses that a certificate is for (RFC 6125 §6.4)."""
    alternatives = certificate.get("subjectAltName", ())
    assert isinstance(alternatives, tuple), "as ssl.SSLObject.getpeercert() gives it"
    for kind, name in alternatives:
        if kind in ("DNS", "IP Address"):
            yield name
