"""qmail-queued, and qmail-smtpd as an application of tcpserver, in a home of their own."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support.private_home import HOST, PrivateHome
from tests.support.tcpserver import TcpServer, running

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20  # seconds until qmail-queued listens


class Reception(NamedTuple):
    """What takes mail in; nobody takes it out of the queue."""

    home: PrivateHome
    server: TcpServer
    queued: int  # its pid


@contextmanager
def reception(*options: str) -> Iterator[Reception]:
    """Run it for user aku, tcpserver with `options`."""
    with PrivateHome("aku") as home, _queued(home) as queued:
        home.write("control/rcpthosts", HOST + "\n")
        folder = Path(tempfile.mkdtemp(dir=home.top))
        server = TcpServer(f"{home.path}/bin/tcpserver", folder, {"QMAILHOME": home.path})
        owner = home.account
        become = ["-u", str(owner.pw_uid), "-g", str(owner.pw_gid)] if os.getuid() == 0 else []
        with running(server):
            server.start(["-RHl0", *become, *options], ["qmail-smtpd"])
            yield Reception(home, server, queued)


@contextmanager
def _queued(home: PrivateHome) -> Iterator[int]:
    process = subprocess.Popen([f"{home.path}/bin/qmail-queued"], **home.options())
    try:
        end = time.monotonic() + PATIENCE
        while not os.path.exists(f"{home.path}/run/queue.sock"):
            assert time.monotonic() < end, "qmail-queued does not listen"
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


class Peaks:
    """How much more memory processes have taken at their peak than they had in the beginning."""

    def __init__(self, *pids: int) -> None:
        self._before = {pid: _memory(pid, "VmRSS:") for pid in pids}
        for pid in pids:
            with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5\n")  # the peak begins anew; proc(5)

    def growth(self) -> int:
        """Return the most bytes that one of them has grown by."""
        return max(_memory(pid, "VmHWM:") - before for pid, before in self._before.items())


def _memory(pid: int, name: str) -> int:
    with open(f"/proc/{pid}/status", encoding="latin-1") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))
