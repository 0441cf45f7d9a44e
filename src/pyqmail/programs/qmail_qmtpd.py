"""qmail-qmtpd - receive mail via QMTP. See qmail-qmtpd(8).

Runs as qmaild under tcpserver or inetd, one session on descriptors 0 and 1.
It hands messages to the queue and writes nothing itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyqmail.programs.run import home_of, run
from pyqmail.queue.async_client import AsyncQueue
from pyqmail.reception.qmtp import serve
from pyqmail.system.streams import DescriptorStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-qmtpd`."""
    run("qmail-qmtpd", hold_session)


def hold_session(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Hold one session on descriptors 0 and 1; return its exit code.

    Nothing is written on descriptor 2: under inetd it is the client, too.
    """
    return asyncio.run(_hold(home_of(environ), dict(environ)))


async def _hold(home: str, environ: Mapping[bytes, bytes]) -> int:
    queue = AsyncQueue(home)
    try:
        return await serve(home, environ, DescriptorStream(), queue)
    finally:
        queue.close()
