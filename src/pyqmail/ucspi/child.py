"""Anybody else's program as an application: a process on the connection."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final

from pyqmail.errors import Failure, TransientFailure
from pyqmail.system import processes
from pyqmail.system.errnos import error_text
from pyqmail.ucspi.carrying import carry_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyqmail.ucspi.application import Environment, ServerStream

# Errors of making a process, as opposed to those of finding its program. errno.h
_NO_PROCESS: Final = frozenset({11, 12, 23, 24})  # EAGAIN ENOMEM ENFILE EMFILE


class Program:
    """The application that the program `arguments` is, found as execvp(3) finds it."""

    def __init__(self, arguments: Sequence[bytes]) -> None:
        self.arguments = list(arguments)

    async def __call__(self, environ: Environment, stream: ServerStream) -> int:
        """Run it on `stream`; return its exit code, or -N if signal N killed it."""
        descriptor = stream.hand_over()
        if descriptor is None:
            return await self._run_behind(environ, stream)
        return await exit_status_of(self.start(environ, descriptor))

    def start(self, environ: Environment, descriptor: int) -> int:
        """Start it on the connection; return its pid. Raises TransientFailure."""
        try:
            return processes.start_by_name(self.arguments, environ, descriptor, descriptor)
        except OSError as error:
            what = b"fork" if error.errno in _NO_PROCESS else b"run " + self.arguments[0]
            raise TransientFailure(b"unable to " + what + b": " + error_text(error)) from error

    async def _run_behind(self, environ: Environment, stream: ServerStream) -> int:
        """Run it on one end of a pair of sockets, and carry the bytes."""
        ours, its = socket.socketpair()
        try:
            pid = self.start(environ, its.fileno())
        except Failure:
            ours.close()
            raise
        finally:
            its.close()
        await carry_between(stream, ours)
        return await exit_status_of(pid)


async def exit_status_of(pid: int) -> int:
    """Wait for a child; return its exit code, or -N if signal N killed it."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # there is no descriptor left; a thread needs none
        status = await loop.run_in_executor(None, processes.wait_for, pid)
    else:
        await _wait_until_readable(descriptor)
        status = processes.wait_for(pid)
    return -(status & 127) if processes.crashed(status) else processes.exit_code(status)


async def _wait_until_readable(descriptor: int) -> None:
    """Wait for an event of a descriptor, then close it."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(descriptor, _set, ended)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def wait_status(exit_status: int) -> int:
    """Return the wait status that an exit status was read from."""
    return -exit_status if exit_status < 0 else (exit_status & 255) << 8
