"""Mail for a good host while thousands of messages wait for one that hardly answers.

A private home has 5,000 messages for a domain whose host says a byte a minute.
Then messages for another domain come in, whose host is well; in a second home
they come alone. Both are measured in turn, as they come: with syncs, with as many
deliveries at once as qmail has by default.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import threading
import time
from typing import TYPE_CHECKING

from tests.support.private_home import HOST, PrivateHome
from throughput import LETTER, LineCount, count_answers, wait

from pyqmail.queue.frames import BODY, ENVELOPE, FrameReader, encode_frame, socket_path

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD, SLOW = "good.example", "slow.example"
IN_FLIGHT = 100  # messages sent and not yet answered
MINUTE = 60


def main() -> None:
    """Print the rates alone and with the others waiting, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1500)
    parser.add_argument("--waiting", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=20)
    arguments = parser.parse_args()
    rates: dict[int, list[float]] = {0: [], arguments.waiting: []}
    with contextlib.ExitStack() as stack:
        good = stack.enter_context(good_host())
        slow = stack.enter_context(slow_host())
        homes = {}
        for waiting in rates:
            home = homes[waiting] = stack.enter_context(PrivateHome())
            home.write("control/smtproutes", f"{GOOD}:127.0.0.1:{good}\n{SLOW}:127.0.0.1:{slow}\n")
            home.write("control/concurrencyremote", f"{arguments.concurrency}\n")
            home.start()
            send(home, SLOW, waiting)
            wait(home, lambda home=home: not os.listdir(f"{home.path}/queue/todo"))
        for _ in range(arguments.rounds):
            for waiting, home in homes.items():
                rates[waiting].append(arguments.messages / measure(home, arguments.messages))
    base = statistics.median(rates[0])
    print(f"{arguments.messages} messages, {arguments.concurrency} deliveries at once")
    print(f"{'waiting':>10}{'per second':>12}{'ratio':>8}{'lowest':>8}{'highest':>9}")
    for waiting, found in rates.items():
        median = statistics.median(found)
        line = f"{median:12.0f}{median / base:8.2f}{min(found):8.0f}{max(found):9.0f}"
        print(f"{waiting:10}{line}")


def measure(home: PrivateHome, messages: int) -> float:
    """Send messages for the good host; return the seconds until all are delivered."""
    with open(home.log_path, "rb") as log:
        log.seek(0, os.SEEK_END)
        ends = LineCount(log, b"end msg ")
        start = time.monotonic()
        send(home, GOOD, messages)
        wait(home, lambda: ends.so_far() >= messages)
    return time.monotonic() - start


def send(home: PrivateHome, domain: str, messages: int) -> None:
    """Queue messages for a domain; return when each was accepted."""
    reader = FrameReader()
    sent = answered = 0
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(socket_path(home.path))
        while answered < messages:
            ready = min(messages, answered + IN_FLIGHT) - sent
            connection.sendall(b"".join(frames(n, domain) for n in range(sent, sent + ready)))
            sent += ready
            answered += count_answers(reader, connection.recv(65536))


def frames(number: int, domain: str) -> bytes:
    """Return what makes one message."""
    envelope = f"Fbench@{HOST}\0Tr{number}@{domain}\0\0".encode()
    return encode_frame(number + 1, BODY, LETTER) + encode_frame(number + 1, ENVELOPE, envelope)


@contextlib.contextmanager
def good_host() -> Iterator[int]:
    """Run a host that takes everything; yield its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        threading.Thread(target=accept, args=(listener, serve), daemon=True).start()
        yield listener.getsockname()[1]


@contextlib.contextmanager
def slow_host() -> Iterator[int]:
    """Run a host that says a byte a minute; yield its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        threading.Thread(target=accept, args=(listener, drip), daemon=True).start()
        yield listener.getsockname()[1]


def accept(listener: socket.socket, hold: object) -> None:
    """Have each connection held in a thread."""
    assert callable(hold)
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=hold, args=(listener.accept()[0],), daemon=True).start()


def drip(connection: socket.socket) -> None:
    """Say a byte a minute."""
    with connection, contextlib.suppress(OSError):
        for byte in b"220 I shall be with you soon":
            connection.send(bytes([byte]))
            time.sleep(MINUTE)


def serve(connection: socket.socket) -> None:
    """Take mail."""
    with (
        contextlib.suppress(OSError),
        connection,
        connection.makefile("rwb", buffering=65536) as stream,
    ):
        stream.write(b"220 far\r\n")
        stream.flush()
        while line := stream.readline():
            if line.startswith(b"EHLO"):
                stream.write(b"250-far\r\n250 PIPELINING\r\n")
            elif line.startswith(b"DATA"):
                stream.write(b"354 go\r\n")
                stream.flush()
                while stream.readline() not in (b".\r\n", b""):
                    pass
                stream.write(b"250 ok\r\n")
            elif line.startswith(b"QUIT"):
                return
            else:
                stream.write(b"250 ok\r\n")
            stream.flush()


if __name__ == "__main__":
    os.umask(0o022)
    main()
