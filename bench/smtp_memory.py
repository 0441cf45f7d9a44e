"""Memory of tcpserver with qmail-smtpd: of each idle session, and while a large message passes."""

from __future__ import annotations

import argparse
import socket
import time

from tests.support.crowd import affordable, crowd, resident
from tests.support.private_home import HOST
from tests.support.reception import Peaks, Reception, reception

SESSIONS = 5000
PATIENCE = 600  # seconds for a message of some gibibytes
PIECE = (b"x" * 998 + b"\r\n") * 1000  # 1 MB
ENVELOPE = f"MAIL FROM:<sue@example.net>\r\nRCPT TO:<aku@{HOST}>\r\nDATA\r\n".encode()


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100, help="size of the message")
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    arguments = parser.parse_args()
    sessions = affordable(arguments.sessions)
    with reception("-c", str(sessions + 10), "-b", "1000") as place:
        show_growth(place, arguments.megabytes)
        show_idle(place, sessions)


def show_growth(place: Reception, megabytes: int) -> None:
    """Send a message and print how much more memory the server took meanwhile."""
    place.server.ask(b"QUIT\r\n")
    peaks = Peaks(place.server.worker(), place.queued)
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", place.server.port), PATIENCE) as connection:
        connection.sendall(ENVELOPE)
        for _ in range(megabytes):
            connection.sendall(PIECE)
        connection.sendall(b".\r\nQUIT\r\n")
        answers = connection.makefile("rb").read()
    assert b"\r\n250 ok " in answers, answers
    growth, took = peaks.growth(), time.monotonic() - begin
    print(f"{growth / 1e6:8.1f} MB more while a message of {megabytes} MB passed in {took:.0f} s")


def show_idle(place: Reception, sessions: int) -> None:
    """Open sessions that have heard the greeting and say nothing; print what each takes."""
    worker = place.server.worker()
    before = resident(worker)
    with crowd(place.server.port, sessions) as peers:
        for peer in peers:
            assert peer.recv(100).startswith(b"220 ")
        each = (resident(worker) - before) / sessions
    print(f"{each / 1000:8.1f} kB for each of {sessions} idle sessions")


if __name__ == "__main__":
    main()
