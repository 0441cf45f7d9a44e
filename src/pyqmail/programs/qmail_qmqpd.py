"""qmail-qmqpd - receive mail via QMQP. See qmail-qmqpd(8).

Runs as qmaild under tcpserver or inetd, one session on descriptors 0 and 1.
It hands messages to the queue and writes nothing itself.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pyqmail.programs.run import home_of, run
from pyqmail.queue.async_client import AsyncQueue
from pyqmail.reception.qmqp import serve
from pyqmail.system.streams import DescriptorStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import NoReturn

    from pyqmail.system.streams import Stream
    from pyqmail.ucspi.enclosure import Needs


def main() -> NoReturn:
    """Run as the command `qmail-qmqpd`."""
    run("qmail-qmqpd", hold_session)


def hold_session(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Hold one session on descriptors 0 and 1; return its exit code.

    Nothing is written on descriptor 2: under inetd it is the client, too.
    """
    return asyncio.run(_hold(home_of(environ), dict(environ)))


def application(
    _arguments: Sequence[bytes], _compose: object
) -> Callable[[Mapping[bytes, bytes], Stream], Awaitable[int]]:
    """Return qmail-qmqpd as an application of tcpserver: all sessions share one queue."""
    queues: dict[str, AsyncQueue] = {}

    async def hold(environ: Mapping[bytes, bytes], stream: Stream) -> int:
        name = home_of(environ)
        if name not in queues:
            queues[name] = AsyncQueue(name)
        return await serve(environ, stream, queues[name])

    return hold


def needs(_arguments: Sequence[bytes], _needs_of: object) -> Needs | None:
    """Return what sessions need under tcpserver."""
    from pyqmail.programs.reach_of_reception import needs_of_reception  # noqa: PLC0415

    return needs_of_reception(os.environb)


async def _hold(home: str, environ: Mapping[bytes, bytes]) -> int:
    queue = AsyncQueue(home)
    try:
        return await serve(environ, DescriptorStream(), queue)
    finally:
        queue.close()
