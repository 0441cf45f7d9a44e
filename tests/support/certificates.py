"""Certificates for a few minutes: a server's, and the authority that clients believe."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


class Authority:
    """Give `issue()` a folder; clients use `context()`."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    def issue(
        self, control: Path, name: str = "mail.example.org", end: datetime | None = None
    ) -> None:
        """Write control/servercert.pem: key and chain in one file."""
        begin = None if end is None else end - timedelta(days=90)
        issued = self._authority.issue_cert(name, "127.0.0.1", not_before=begin, not_after=end)
        issued.private_key_and_cert_chain_pem.write_to_path(str(control / "servercert.pem"))

    def issue_to_client(self, name: str) -> str:
        """Return key and chain of somebody who is no server."""
        return self._authority.issue_cert(name).private_key_and_cert_chain_pem.bytes().decode()

    def certificate(self) -> str:
        """Return its own certificate, for a file of those that are believed."""
        return self._authority.cert_pem.bytes().decode()

    def context(self) -> ssl.SSLContext:
        """Return what a client needs to believe the servers' certificates."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context
