"""Connections a second, and memory of an idle one: our tcpserver against the original's.

The client says a line, hears one, and leaves; 20 of them at the same time.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from pathlib import Path

from tests.support.crowd import affordable, crowd, resident
from tests.support.launchers import launcher_folder
from tests.support.tcpserver import TcpServer, running

ORIGINAL = "/usr/bin"
CLIENTS = 20
SECONDS = 3.0
IDLE = 5000
OPTIONS = ["-RHl0", "-c", "10000", "-b", "1000"]


def main() -> None:
    """Measure each way in turn, in one run; print rates, ratios and memory."""
    with launcher_folder() as ours, tempfile.TemporaryDirectory() as top:
        ways = {
            "ours, application": (ours, ["delcr"]),
            "ours, two workers": (ours, ["delcr"]),
            "ours, process": (ours, ["/bin/cat"]),
        }
        if os.path.exists(f"{ORIGINAL}/tcpserver"):
            ways["original, process"] = (ORIGINAL, ["/bin/cat"])
        rates = {}
        for name, (folder, chain) in ways.items():
            with running(TcpServer(f"{folder}/tcpserver", Path(top))) as server:
                more = ["--workers", "2"] if "two" in name else []
                server.start([*OPTIONS, *more], chain)
                rates[name] = rate_of(server)
        base = rates.get("original, process", rates["ours, process"])
        for name, rate in rates.items():
            print(f"{rate:8.0f} connections/s  {rate / base:5.2f}  {name}")
        with running(TcpServer(f"{ours}/tcpserver", Path(top))) as server:
            server.start(OPTIONS, ["delcr"])
            show_memory(server)


def rate_of(server: TcpServer) -> float:
    """Return connections a second."""
    counts = [0] * CLIENTS
    end = time.monotonic() + SECONDS

    def visit(index: int) -> None:
        while time.monotonic() < end:
            with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
                connection.sendall(b"hello\n")
                assert connection.recv(100) == b"hello\n"
            counts[index] += 1

    threads = [threading.Thread(target=visit, args=(index,)) for index in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def show_memory(server: TcpServer) -> None:
    """Print what an idle connection costs."""
    number = affordable(IDLE)
    worker = server.worker()
    before = resident(worker)
    with crowd(server.port, number):
        server.wait_until_logged(f"status: {number}/")
        each = (resident(worker) - before) / number
    print(f"{each:8.0f} bytes for each of {number} idle connections")


if __name__ == "__main__":
    main()
