"""Servers that others wrote: started in a session of their own, and ended with all of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PATIENCE = 20  # seconds until it listens, or has ended


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def daemon(
    argv: Sequence[str], ports: Sequence[int], log: Path, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that does not go into the background, once it listens on all `ports`.

    What it says is in the file `log`.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, **options,
        )  # fmt: skip
    try:
        for port in ports:
            _wait_for_port(port, process, lambda: log.read_text(errors="replace"))
        yield process
    finally:
        # Its children are in its session, and only they.
        with suppress(ProcessLookupError):  # it has ended already
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _wait_for_port(port: int, process: subprocess.Popen[bytes], said: Callable[[], str]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, said()
        assert time.monotonic() < end, said()
        time.sleep(0.05)
