"""qmail-smtpd - receive mail via SMTP. See qmail-smtpd(8).

Runs as qmaild under tcpserver, inetd or `sendmail -bs`, one session on
descriptors 0 and 1. It reads control files and hands messages to the queue;
it writes nothing itself.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pyqmail.programs.run import home_of, run
from pyqmail.queue.async_client import AsyncQueue
from pyqmail.reception.smtp import serve
from pyqmail.system.streams import DescriptorStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.ucspi.application import Application, Compose, Environment, ServerStream


def main() -> NoReturn:
    """Run as the command `qmail-smtpd`."""
    run("qmail-smtpd", hold_session)


def hold_session(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Hold one session on descriptors 0 and 1; return its exit status.

    Nothing is written on descriptor 2: under inetd it is the client, too.
    """
    return asyncio.run(_hold(home_of(environ), dict(environ)))


def application(_arguments: Sequence[bytes], _compose: Compose) -> Application:
    """Return the application that holds sessions: all share the connections to the queue."""
    queues: dict[str, AsyncQueue] = {}

    async def hold(environ: Environment, stream: ServerStream) -> int:
        home = home_of(environ)
        if home not in queues:
            queues[home] = AsyncQueue(home)
        return await serve(home, environ, stream, queues[home], log=_complain)

    return hold


def _complain(text: bytes) -> None:
    os.write(2, b"qmail-smtpd: " + text + b"\n")


async def _hold(home: str, environ: Mapping[bytes, bytes]) -> int:
    queue = AsyncQueue(home)
    try:
        return await serve(home, environ, DescriptorStream(), queue)
    finally:
        queue.close()
