"""Messages accepted by SMTP in a second, synced: ours beside Postfix, in one run.

Postfix's smtp-source sends messages of 1 kB in 20 sessions at the same time,
one message in each. Neither server has its queue manager running: what is
measured is the way from the connection to a message that survives a crash.
Ours looks up every recipient, as it does by default; Postfix looks up none.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.postfix import Postfix, why_not
from tests.support.private_home import HOST, PrivateHome
from tests.support.tcpserver import TcpServer, running
from tests.support.unpacked import environ, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SESSIONS = 20
SIZE = 1000
PATIENCE = 20  # seconds until qmail-queued listens
SETTINGS = {
    "myhostname": HOST,
    "mydestination": HOST,
    "in_flow_delay": "0",  # else it waits for its queue manager
}


def main() -> None:
    """Print the rate of each server, and its ratio to Postfix's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(f"no Postfix to compare with: it {reason}")
        return
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench.")))
        top.chmod(0o755)
        root = unpack("postfix", top)
        doors = {
            "Postfix": stack.enter_context(postfix(root, top)),
            "ours": stack.enter_context(ours(top)),
            "ours, two workers": stack.enter_context(ours(top, "--workers", "2")),
        }
        measure(root, doors, arguments)


def measure(root: Path, doors: dict[str, int], arguments: argparse.Namespace) -> None:
    """Send to each in turn; print medians and ratios."""
    send = sender(root, arguments.messages)
    rates: dict[str, list[float]] = {name: [] for name in doors}
    for port in doors.values():
        send(port)  # so that all have started what they need
    for _ in range(arguments.rounds):
        for name, port in doors.items():
            rates[name].append(arguments.messages / send(port))
    base = statistics.median(rates["Postfix"])
    print(f"{arguments.messages} messages of {SIZE} bytes, {SESSIONS} sessions at once")
    print(f"{'accepted/s':>12}{'ratio':>8}{'lowest':>8}{'highest':>9}")
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"{median:12.0f}{median / base:8.2f}{min(found):8.0f}{max(found):9.0f}  {name}")


def sender(root: Path, messages: int) -> Callable[[int], float]:
    """Return what sends all messages to a port, and returns the seconds it took."""
    options = [
        "-s",
        str(SESSIONS),
        "-m",
        str(messages),
        "-l",
        str(SIZE),
        "-M",
        "client.example.net",
    ]
    options += ["-f", "sue@example.net", "-t", f"aku@{HOST}"]

    def send(port: int) -> float:
        argv = [f"{root}/usr/sbin/smtp-source", *options, f"127.0.0.1:{port}"]
        begin = time.perf_counter()
        subprocess.run(argv, env=environ(root), check=True)
        return time.perf_counter() - begin

    return send


@contextmanager
def postfix(root: Path, top: Path) -> Iterator[int]:
    """Run Postfix; yield its port."""
    folder = top / "instance"
    folder.mkdir()
    server = Postfix(root, folder, SETTINGS)
    with server.running(delivers=False):
        yield server.port


@contextmanager
def ours(top: Path, *options: str) -> Iterator[int]:
    """Run qmail-queued, and tcpserver with qmail-smtpd; yield the port."""
    folder = Path(tempfile.mkdtemp(dir=top))
    with PrivateHome("aku") as home:
        home.write("control/rcpthosts", HOST + "\n")
        queued = subprocess.Popen([f"{home.path}/bin/qmail-queued"], **home.options())
        try:
            wait_for(f"{home.path}/run/queue.sock")
            server = TcpServer(f"{home.path}/bin/tcpserver", folder, {"QMAILHOME": home.path})
            with running(server):
                owner = home.account
                become = ["-u", str(owner.pw_uid), "-g", str(owner.pw_gid)]
                server.start(["-QRHl0", *become, *options], ["qmail-smtpd"])
                yield server.port
        finally:
            queued.terminate()
            queued.wait()


def wait_for(path: str) -> None:
    """Return when there is a file."""
    end = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        assert time.monotonic() < end, f"there is no {path}"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
