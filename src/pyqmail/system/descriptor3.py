"""Ask a program that reads its question from descriptor 3, and answers by its exit code."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TransientFailure
from pyqmail.system.processes import (
    IGNORED_BY_PYTHON,
    crashed,
    exit_code,
    find_program,
    kill,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT: Final = 60  # seconds; a program may be slow on purpose, and a directory service without


async def ask(arguments: Sequence[bytes], environ: Mapping[bytes, bytes], question: bytes) -> int:
    """Return the exit code of a program that gets `question`, which must fit into a pipe.

    It neither reads nor writes what we do. Raises TransientFailure if it
    cannot be started, is killed, or takes too long.
    """
    pid = _start(arguments, environ, question)
    ended = False
    try:
        async with asyncio.timeout(TIMEOUT):
            await _end_of(pid)
            ended = True
    except TimeoutError as error:
        raise TransientFailure(b"the password program takes too long") from error
    finally:
        if not ended:
            kill(pid)
        status = wait_for(pid)
    if crashed(status):
        raise TransientFailure(b"the password program crashed")
    return exit_code(status)


async def _end_of(pid: int) -> None:
    """Wait until a child has ended; it stays to be waited for."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _start(arguments: Sequence[bytes], environ: Mapping[bytes, bytes], question: bytes) -> int:
    path = find_program(arguments[0], environ)
    reading, writing = os.pipe()
    nowhere = os.open(os.devnull, os.O_RDWR)
    moves = [(os.POSIX_SPAWN_DUP2, old, new) for old, new in ((nowhere, 0), (nowhere, 1))]
    try:
        if path is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        os.write(writing, question)
        return os.posix_spawn(
            path,
            list(arguments),
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, reading, 3), *moves],
            setsigdef=IGNORED_BY_PYTHON,
        )
    except OSError as error:
        raise TransientFailure(b"the password program cannot be started") from error
    finally:
        for descriptor in (reading, writing, nowhere):
            os.close(descriptor)
