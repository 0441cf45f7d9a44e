"""qmail-qmqpd - receive mail via QMQP. See qmail-qmqpd(8).

Runs as qmaild under tcpserver or inetd, one session on descriptors 0 and 1.
It hands messages to the queue and writes nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.programs.netstring_server import hold_many, hold_one
from pyqmail.programs.netstring_server import needs as needs  # noqa: PLC0414  tcpserver asks it here
from pyqmail.programs.run import run
from pyqmail.reception.qmqp import serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import NoReturn

    from pyqmail.queue.async_client import AsyncQueue
    from pyqmail.system.streams import Stream


def main() -> NoReturn:
    """Run as the command `qmail-qmqpd`."""
    run("qmail-qmqpd", hold_session)


def hold_session(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Hold one session on descriptors 0 and 1; return its exit code."""
    return hold_one(_serve, environ)


def application(
    _arguments: Sequence[bytes], _compose: object
) -> Callable[[Mapping[bytes, bytes], Stream], Awaitable[int]]:
    """Return qmail-qmqpd as an application of tcpserver."""
    return hold_many(_serve)


async def _serve(
    _home: str, environ: Mapping[bytes, bytes], stream: Stream, queue: AsyncQueue
) -> int:
    # Who may use QMQP is decided before it comes to a session: no control file matters.
    return await serve(environ, stream, queue)
