"""A tcpserver that runs on loopback: ours, or anybody else's with the same options."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PATIENCE = 20  # seconds for what happens at once on an idle machine


class TcpServer:
    """`start()` it; it answers on `port`, and `lines()` is its log so far."""

    def __init__(
        self,
        program: str,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        *,
        work: str | None = None,
    ) -> None:
        self._program = program
        self._work = work  # where it runs; None: here
        self.log_path = self._log = folder / "log"
        self._environ = dict(environ or {})
        self.port = 0
        self.process: subprocess.Popen[bytes]

    def start(self, options: Sequence[str], chain: Sequence[str], host: str = "127.0.0.1") -> None:
        """Start it with `-v -1` and these options; wait for its port."""
        environ = {"PATH": f"{os.path.dirname(self._program)}:{os.defpath}", **self._environ}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [self._program, "-v", "-1", *options, host, "0", *chain],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environ,
                cwd=self._work,
                start_new_session=True,
            )
        assert self.process.stdout is not None  # it is a pipe
        with self.process.stdout as stdout:
            first = stdout.readline()
        assert first, self._log.read_bytes()
        self.port = int(first)

    def connect(self, host: str = "127.0.0.1", source: str | None = None) -> socket.socket:
        """Return a connection to it."""
        address = (source, 0) if source else None
        return socket.create_connection((host, self.port), PATIENCE, address)

    def ask(self, data: bytes = b"", host: str = "127.0.0.1") -> bytes:
        """Send `data`, say no more, and return all that comes back."""
        with self.connect(host) as connection:
            with suppress(OSError):  # it may hang up before we have said all
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def lines(self) -> list[str]:
        """Return the log so far."""
        return self._log.read_bytes().decode("latin-1").split("\n")[:-1]

    def wait_until_logged(self, pattern: str, times: int = 1) -> list[str]:
        """Return the log once so many lines match `pattern`."""
        deadline = time.monotonic() + PATIENCE
        while sum(bool(re.search(pattern, line)) for line in self.lines()) < times:
            assert time.monotonic() < deadline, (pattern, self.lines())
            time.sleep(0.01)
        return self.lines()

    def processes(self) -> list[int]:
        """Return the pids of its workers and their children."""
        answer = subprocess.run(
            ["pgrep", "--session", str(self.process.pid)], check=False, capture_output=True
        )
        return [int(pid) for pid in answer.stdout.split() if int(pid) != self.process.pid]

    def worker(self) -> int:
        """Return the pid of its one worker, once there is one."""
        deadline = time.monotonic() + PATIENCE
        while not (pids := self.processes()):
            assert time.monotonic() < deadline, self.lines()
            time.sleep(0.01)
        (pid,) = pids
        return pid

    def stop(self) -> None:
        """End all of its processes."""
        for pid in [self.process.pid, *self.processes()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(PATIENCE)


@contextmanager
def running(server: TcpServer) -> Iterator[TcpServer]:
    """Stop a server in the end, whatever happens."""
    try:
        yield server
    finally:
        server.stop()


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the peer ends, or breaks, the connection."""
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def normal(lines: Sequence[str], server: TcpServer) -> list[str]:
    """Return log lines with words for process numbers and ports."""
    text = "\n".join(lines).replace(str(server.port), "{PORT}")
    text = re.sub(r"\b(pid|ok|deny|end) \d+", r"\1 {PID}", text)
    text = re.sub(r"^\d+ (?=[<>])", "{PID} ", text, flags=re.MULTILINE)
    text = re.sub(r":\d+$", ":{REMOTEPORT}", text, flags=re.MULTILINE)
    return text.split("\n")
