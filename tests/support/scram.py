"""What a password store keeps for SCRAM-SHA-256."""

from __future__ import annotations

from typing import NamedTuple

from scramp import ScramMechanism


class Keys(NamedTuple):
    """The keys of one user; see protocol.smtp.auth.ScramKeys."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int


def keys_of(password: str) -> Keys:
    """Return the keys for a password."""
    return Keys(*ScramMechanism("SCRAM-SHA-256").make_auth_info(password))
