"""A tiny server for tests: each connection becomes descriptors 0 and 1 of a program."""

from __future__ import annotations

import socket
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Listener:
    """Serves one connection after the other on a free port of loopback."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._command = list(command)
        self._environ = dict(environ)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.statuses: list[int] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            try:
                connection, peer = self._socket.accept()
            except OSError:
                return
            with connection:
                environ = {**self._environ, "TCPREMOTEIP": peer[0], "PROTO": "TCP"}
                process = subprocess.Popen(
                    self._command, env=environ, stdin=connection, stdout=connection
                )
            self._processes.append(process)
            self.statuses.append(process.wait())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Accept connections in the meantime."""
        self._thread.start()
        try:
            yield
        finally:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            for process in self._processes:
                if process.poll() is None:
                    process.kill()
            self._thread.join()
