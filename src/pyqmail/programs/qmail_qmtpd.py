"""qmail-qmtpd - receive mail via QMTP. See qmail-qmtpd(8).

Runs as qmaild under tcpserver or inetd, one session on descriptors 0 and 1.
It hands messages to the queue and writes nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.programs.netstring_server import hold_many, hold_one
from pyqmail.programs.netstring_server import needs as needs  # noqa: PLC0414  tcpserver asks it here
from pyqmail.programs.run import run
from pyqmail.reception.qmtp import serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import NoReturn

    from pyqmail.system.streams import Stream


def main() -> NoReturn:
    """Run as the command `qmail-qmtpd`."""
    run("qmail-qmtpd", hold_session)


def hold_session(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Hold one session on descriptors 0 and 1; return its exit code."""
    return hold_one(serve, environ)


def application(
    _arguments: Sequence[bytes], _compose: object
) -> Callable[[Mapping[bytes, bytes], Stream], Awaitable[int]]:
    """Return qmail-qmtpd as an application of tcpserver."""
    return hold_many(serve)
