"""The certificate that a private home begins with: signed by itself, good for this machine.

Clients elsewhere believe it only if they are told to; the administrator replaces
the file when there is a better one.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pyqmail.control.files import read_line
from pyqmail.system import files

PATH: Final = "control/servercert.pem"

_MODE: Final = 0o600  # the key is in it
_LIFETIME: Final = dt.timedelta(days=3650)
_GRACE: Final = dt.timedelta(days=1)  # for clients whose clocks are behind
_MAX_COMMON_NAME: Final = 64  # RFC 5280 appendix A.1, ub-common-name


def write_certificate(home: str) -> None:
    """Write control/servercert.pem for the host in control/me, unless it is there."""
    path = os.path.join(home, PATH)
    if not os.path.lexists(path):
        me = read_line(home, "me")
        host = me.decode() if me and me.isascii() else "localhost"  # it may be edited to anything
        files.replace_durably(path, make_certificate(host), _MODE)


def make_certificate(host: str) -> bytes:
    """Return a new key and its certificate for `host` and for loopback, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _builder(host, key.public_key()).sign(key, hashes.SHA256())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def days_left(path: str) -> int:
    """Return for how many whole days the certificate in a file that can be used is valid."""
    end = x509.load_pem_x509_certificates(files.read_all(path))[0].not_valid_after_utc
    return (end - dt.datetime.now(dt.UTC)).days


def _builder(host: str, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:_MAX_COMMON_NAME])])
    names = [
        *(x509.DNSName(text) for text in dict.fromkeys((host, "localhost"))),
        *(x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")),
    ]
    now = dt.datetime.now(dt.UTC)
    # Its own authority: so a client that is given this file as one believes it.
    authority = x509.BasicConstraints(ca=True, path_length=0)
    own_key = x509.SubjectKeyIdentifier.from_public_key(public_key)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _GRACE)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(authority, critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(purpose, critical=False)
        .add_extension(own_key, critical=False)
    )


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
