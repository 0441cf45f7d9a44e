"""Connections to other hosts that are none: they can only be used again, or closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pyqmail.delivery.connection import Connection


class FakeConnection:
    """Remembers whether it was closed."""

    def __init__(self, *, reusable: bool = True) -> None:
        self.reusable = reusable
        self.closed = False

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def fake(*, reusable: bool = True) -> Connection:
    """Return one that passes for a connection."""
    return cast("Connection", FakeConnection(reusable=reusable))


def wear_out(connection: Connection) -> None:
    """Have it not be usable any more."""
    cast("FakeConnection", connection).reusable = False


def closed(connection: Connection) -> bool:
    """Ask whether it was closed."""
    return cast("FakeConnection", connection).closed
