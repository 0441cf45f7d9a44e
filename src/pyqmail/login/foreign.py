"""Somebody else's checkpassword, or ours with a program of its own: a process for each check."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from pyqmail.login.trial import Verdict
from pyqmail.protocol.checkpassword import Credentials, Malformed, TooLarge, encode_credentials
from pyqmail.system import processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DESCRIPTOR: Final = 3
_MISUSED: Final = 2
_TEMPORARY: Final = 111


async def run_checkpassword(
    command: Sequence[bytes],
    credentials: Credentials,
    environ: Mapping[bytes, bytes],
    limit: float,
) -> Verdict:
    """Run a checkpassword and its program on credentials; say what it says.

    It is killed after `limit` seconds. It gets no input, and its output goes nowhere: a session
    is not its own.
    """
    try:
        data = encode_credentials(credentials)
    except (Malformed, TooLarge):
        return Verdict.REFUSED
    try:
        pid = _start(command, data, environ)
    except OSError:
        return Verdict.UNDECIDED
    status = await _wait(pid, limit)
    if processes.crashed(status):
        return Verdict.UNDECIDED
    code = processes.exit_code(status)
    if code in (_MISUSED, _TEMPORARY):
        return Verdict.UNDECIDED
    return Verdict.REFUSED if code else Verdict.ACCEPTED


def _start(command: Sequence[bytes], data: bytes, environ: Mapping[bytes, bytes]) -> int:
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.write(writing, data)  # a pipe has room for so much at once
        # The end for writing is closed on exec: so what comes after the data is the end.
        credentials = [(reading, _DESCRIPTOR)]
        return processes.start_by_name(list(command), environ, nothing, nothing, more=credentials)
    finally:
        os.close(reading)
        os.close(writing)
        os.close(nothing)


async def _wait(pid: int, limit: float) -> int:
    """Return the wait status of a child, without stopping the loop; kill it in time."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(limit):
            await ended.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        if not ended.is_set():  # too slow, or nobody waits any more
            processes.kill(pid)
        status = processes.wait_for(pid)
    return status
