"""What tcpserver says on descriptor 2: the original's lines, byte for byte."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyqmail.ucspi.environment import Ends

SILENT: Final = 0  # -q
ERRORS: Final = 1  # -Q
EVERYTHING: Final = 2  # -v

_MAX_FIELD: Final = 100  # bytes
_FIRST_PRINTABLE: Final = 33
_LAST_PRINTABLE: Final = 126
_HARMLESS: Final = bytes(
    byte if _FIRST_PRINTABLE <= byte <= _LAST_PRINTABLE and byte not in b"%:" else ord("?")
    for byte in range(256)
)
_ONE_LINE: Final = bytes(ord("?") if byte in b"\r\n" else byte for byte in range(256))


class Log:
    """Writes the lines that `verbosity` asks for, each in one write."""

    __slots__ = ("_verbosity",)

    def __init__(self, verbosity: int) -> None:
        self._verbosity = verbosity

    def status(self, connections: int, limit: int) -> None:
        """Say how many connections there are."""
        self._write(EVERYTHING, b"status: %d/%d" % (connections, limit))

    def begin(self, number: int, ip: bytes) -> None:
        """Say that somebody is there."""
        self._write(EVERYTHING, b"pid %d from %b" % (number, ip))

    def decision(self, number: int, ends: Ends, *, denied: bool) -> None:
        """Say who it is, and whether he may."""
        word = b"deny" if denied else b"ok"
        self._write(EVERYTHING, b"%b %d %b" % (word, number, _both(ends)))

    def end(self, number: int, wait_status: int) -> None:
        """Say how a connection ended."""
        self._write(EVERYTHING, b"end %d status %d" % (number, wait_status))

    def drop(self, text: bytes) -> None:
        """Say why a connection is dropped."""
        self._write(ERRORS, b"warning: dropping connection, " + text)

    def refuse(self, ip: bytes) -> None:
        """Say that an address has as many connections as it may have."""
        self._write(EVERYTHING, b"refuse %b: too many connections from there" % ip)

    def tell(self, text: bytes) -> None:
        """Say what an administrator should know."""
        self._write(ERRORS, b"warning: " + text)

    def _write(self, level: int, text: bytes) -> None:
        if self._verbosity >= level:
            # One line, whatever is quoted in it.
            os.write(2, b"tcpserver: " + text.translate(_ONE_LINE) + b"\n")


def _both(ends: Ends) -> bytes:
    local, remote = ends.local, ends.remote
    return b"%b:%b:%d %b:%b:%b:%d" % (
        _field(ends.local_name),
        local.ip,
        local.port,
        _field(ends.remote_name),
        remote.ip,
        _field(ends.info),
        remote.port,
    )


def _field(text: bytes | None) -> bytes:
    shown = (text or b"").translate(_HARMLESS)
    return shown if len(shown) < _MAX_FIELD else shown[:_MAX_FIELD] + b"..."
