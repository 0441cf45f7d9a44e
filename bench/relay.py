"""Mail that comes in by SMTP and goes out by SMTP, synced between: ours beside Postfix, in one run.

Postfix's smtp-source gives, its smtp-sink takes. Three cases: many messages of
1 kB for one destination, in 20 sessions at the same time; one message to a
thousand recipients at one destination; and one to a thousand at a hundred
destinations, each with an address of its own. The clock runs from the first
connection until smtp-sink has the last message, or the queue is empty again.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from processes import cpu_of_each, family, title
from tests.support.postfix import Postfix, why_not
from tests.support.private_home import HOST, PrivateHome
from tests.support.unpacked import environ, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SESSIONS = 20
SIZE = 1000
RECIPIENTS = 1000
PIPELINED = 50  # commands that are sent before their replies are read
DOMAINS = 100
INTERVAL = 0.005  # seconds between two looks
PATIENCE = 120  # seconds without any progress
NAMES = [f"d{number}.example" for number in range(DOMAINS)]
# Folders of Postfix's queue in which a message may be.
STATIONS = ("maildrop", "incoming", "active", "deferred")


class Server(NamedTuple):
    """One that relays: where it listens, and whether its queue is empty."""

    port: int
    is_empty: Callable[[], bool]
    pid: int


def main() -> None:
    """Print what each server does in a second, and its ratio to Postfix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=100, help="deliveries at once, of both")
    parser.add_argument("--case", choices=("relay", "one", "hundred"), help="only this one")
    parser.add_argument("--only", choices=("Postfix", "ours"), help="only this server")
    parser.add_argument("--profile", action="store_true", help="say what each process costs")
    arguments = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(f"no Postfix to compare with: it {reason}")
        return
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench.")))
        top.chmod(0o755)
        root = unpack("postfix", top)
        sink = stack.enter_context(Sink.running(root, top))
        servers = {
            "Postfix": lambda: postfix(root, top, sink.port, arguments.concurrency),
            "ours": lambda: ours(sink.port, arguments.concurrency),
        }
        measure(servers, sink, Source(root), arguments)


def measure(
    makers: dict[str, Callable[[], Iterator[Server]]],
    sink: Sink,
    source: Source,
    arguments: argparse.Namespace,
) -> None:
    """Have each case done by each in turn; print medians and ratios."""
    cases: dict[str, tuple[int, Callable[[Server], None]]] = {
        "relay": (arguments.messages, lambda server: source.relay(server, sink, arguments)),
        "one": (RECIPIENTS, lambda server: source.to_many(server, NAMES[:1])),
        "hundred": (RECIPIENTS, lambda server: source.to_many(server, NAMES)),
    }
    with ExitStack() as stack:
        names = [arguments.only] if arguments.only else list(makers)
        servers = {name: stack.enter_context(makers[name]()) for name in names}
        for case, (amount, work) in cases.items():
            if arguments.case in (None, case):
                compare(case, amount, work, servers, arguments)


def compare(
    case: str,
    amount: int,
    work: Callable[[Server], None],
    servers: dict[str, Server],
    arguments: argparse.Namespace,
) -> None:
    """Print one case."""
    rates: dict[str, list[float]] = {name: [] for name in servers}
    costs: dict[str, float] = {}
    for round_ in range(arguments.rounds + 1):
        for name, server in servers.items():
            before = cpu_of_each(server.pid)
            begin = time.perf_counter()
            work(server)
            rate = amount / (time.perf_counter() - begin)
            if round_:  # before that, all start what they need
                rates[name].append(rate)
            for key, seconds in cpu_of_each(server.pid).items():
                costs[f"{name}: {key}"] = seconds - before.get(key, 0)
    base = statistics.median(rates.get("Postfix", [0])) or 1
    print(f"{case}: {amount} deliveries")
    print(f"{'per second':>12}{'ratio':>8}{'lowest':>8}{'highest':>9}")
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"{median:12.0f}{median / base:8.2f}{min(found):8.0f}{max(found):9.0f}  {name}")
    if arguments.profile:
        for name, seconds in costs.items():
            print(f"{seconds / amount * 1000:12.3f}  CPU ms for each, {name}")


class Sink:
    """Postfix's smtp-sink on all addresses of loopback."""

    def __init__(self, port: int, counters: Path) -> None:
        self.port = port
        self._counters = counters

    @classmethod
    @contextmanager
    def running(cls, root: Path, top: Path) -> Iterator[Sink]:
        """Run it while this lasts."""
        port = free_port()
        with (top / "counters").open("wb") as counters:
            process = subprocess.Popen(
                [f"{root}/usr/sbin/smtp-sink", "-u", "nobody", "-c", f"0.0.0.0:{port}", "1000"],
                env=environ(root),
                stdout=counters,
            )
        try:
            yield cls(port, top / "counters")
        finally:
            process.kill()
            process.wait()

    def messages(self) -> int:
        """Return how many messages it has taken since it was started."""
        with self._counters.open("rb") as file:
            file.seek(max(os.path.getsize(self._counters) - 200, 0))
            found = re.findall(rb"mesg=(\d+)", file.read())
        return int(found[-1]) if found else 0


class Source:
    """Who sends: smtp-source, or ourselves where that has no option for the envelope."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def relay(self, server: Server, sink: Sink, arguments: argparse.Namespace) -> None:
        """Send all messages; return when the sink has them."""
        wanted = sink.messages() + arguments.messages
        self._run(server, "-s", str(SESSIONS), "-m", str(arguments.messages))
        wait_until(lambda: sink.messages() >= wanted)
        wait_until(server.is_empty)

    def _run(self, server: Server, *options: str) -> None:
        argv = [f"{self._root}/usr/sbin/smtp-source", *options, "-l", str(SIZE)]
        argv += ["-M", "client.example.net", "-f", "sue@example.net", "-t", f"aku@{NAMES[0]}"]
        subprocess.run([*argv, f"127.0.0.1:{server.port}"], env=environ(self._root), check=True)

    def to_many(self, server: Server, domains: list[str]) -> None:
        """Send one message to all recipients; return when nothing is queued any more."""
        commands = [b"EHLO client.example.net", b"MAIL FROM:<sue@example.net>"]
        commands += [
            f"RCPT TO:<r{number}@{domains[number % len(domains)]}>".encode()
            for number in range(RECIPIENTS)
        ]
        commands += [b"DATA"]
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            replies = connection.makefile("rb")
            expect(replies, b"220")
            for first in range(0, len(commands), PIPELINED):
                piece = commands[first : first + PIPELINED]
                connection.sendall(b"".join(command + b"\r\n" for command in piece))
                for command in piece:
                    expect(replies, b"354" if command == b"DATA" else b"250")
            connection.sendall(b"Subject: x\r\n\r\n" + b"0123456789abcd\r\n" * 61 + b".\r\n")
            expect(replies, b"250")
        wait_until(server.is_empty)


def expect(replies: object, code: bytes) -> None:
    """Read a reply, which must have this code."""
    while True:
        line = replies.readline()  # type: ignore[attr-defined]
        assert line.startswith(code), line
        if line[3:4] == b" ":
            return


def wait_until(enough: Callable[[], bool]) -> None:
    """Return when `enough()` is true."""
    end = time.monotonic() + PATIENCE
    while not enough():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(INTERVAL)


def is_empty(folders: list[str]) -> bool:
    """Is no file in or below the folders?"""
    return not any(names for folder in folders for _, _, names in os.walk(folder))


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def address_of(number: int) -> str:
    """Return the address of a destination."""
    return f"127.0.1.{number + 1}"


@contextmanager
def postfix(root: Path, top: Path, sink: int, concurrency: int) -> Iterator[Server]:
    """Run Postfix."""
    folder = top / "instance"
    folder.mkdir()
    transport = folder / "transport"
    transport.write_text(
        "".join(f"{name} smtp:[{address_of(n)}]:{sink}\n" for n, name in enumerate(NAMES))
    )
    settings = {
        "myhostname": HOST,
        "mydestination": HOST,
        "mynetworks": "127.0.0.0/8",
        "transport_maps": f"texthash:{transport}",
        "default_process_limit": str(concurrency),
        "smtpd_recipient_limit": "2000",
        "in_flow_delay": "0",
    }
    server = Postfix(root, folder, settings)
    stations = [f"{server.queue}/{name}" for name in STATIONS]
    with server.running(delivers=True):
        (master,) = [pid for pid in family(os.getpid()) if f"/master -d -c {folder}" in title(pid)]
        yield Server(server.port, lambda: is_empty(stations), master)


@contextmanager
def ours(sink: int, concurrency: int) -> Iterator[Server]:
    """Run a private home of ours."""
    port = free_port()
    with PrivateHome() as home:
        home.write("control/rcpthosts", f"{HOST}\n.example\n")
        home.write("control/concurrencyremote", f"{concurrency}\n")
        routes = (f"{name}:{address_of(n)}:{sink}\n" for n, name in enumerate(NAMES))
        home.write("control/smtproutes", "".join(routes))
        listen = {"smtp": f"127.0.0.1:{port}", "submission": "off", "smtps": "off"}
        home.start(*(f"--listen={name}={place}" for name, place in listen.items()))
        stations = [f"{home.path}/queue/{name}" for name in ("mess", "todo")]
        yield Server(port, lambda: is_empty(stations), home.pid)
        assert home.stop() == 0, "the home did not stop as it should"


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    main()
