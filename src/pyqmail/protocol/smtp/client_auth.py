"""Authentication (SASL, RFC 4422) as a client of SMTP carries it out (RFC 4954), without I/O."""

from __future__ import annotations

from typing import Protocol


class ClientExchange(Protocol):
    """One run of a mechanism."""

    def command(self) -> bytes:
        """Return the command that begins it."""

    def respond(self, challenge: bytes) -> bytes:
        """Return the line that answers a challenge, both in base64; `*` gives up."""
