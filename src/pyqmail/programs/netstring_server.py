"""What qmail-qmtpd and qmail-qmqpd have in common: a command, or an application of tcpserver."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pyqmail.programs.run import home_of
from pyqmail.queue.async_client import AsyncQueue
from pyqmail.system.streams import DescriptorStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from pyqmail.system.streams import Stream
    from pyqmail.ucspi.enclosure import Needs

    # Holds a session for a home; returns its exit code.
    Serve = Callable[[str, Mapping[bytes, bytes], Stream, AsyncQueue], Awaitable[int]]


def hold_one(serve: Serve, environ: Mapping[bytes, bytes]) -> int:
    """Hold one session on descriptors 0 and 1; return its exit code.

    Nothing is written on descriptor 2: under inetd it is the client, too.
    """
    return asyncio.run(_hold(serve, home_of(environ), dict(environ)))


async def _hold(serve: Serve, home: str, environ: Mapping[bytes, bytes]) -> int:
    queue = AsyncQueue(home)
    try:
        return await serve(home, environ, DescriptorStream(), queue)
    finally:
        queue.close()


def hold_many(serve: Serve) -> Callable[[Mapping[bytes, bytes], Stream], Awaitable[int]]:
    """Return an application of tcpserver whose sessions share one queue."""
    queues: dict[str, AsyncQueue] = {}

    async def hold(environ: Mapping[bytes, bytes], stream: Stream) -> int:
        home = home_of(environ)
        if home not in queues:
            queues[home] = AsyncQueue(home)
        return await serve(home, environ, stream, queues[home])

    return hold


def needs(_arguments: Sequence[bytes], _needs_of: object) -> Needs | None:
    """Return what sessions need under tcpserver."""
    from pyqmail.programs.reach_of_reception import needs_of_reception  # noqa: PLC0415

    return needs_of_reception(os.environb)
