"""Acceptances per second through the queue socket, and what the syncs cost.

One client keeps a number of messages on their way, over one connection. Each
run is made as it is, and with sync calls replaced by nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

from pyqmail.control.roles import Roles
from pyqmail.queue import layout
from pyqmail.queue.frames import (
    BODY,
    ENVELOPE,
    FrameReader,
    encode_frame,
    parse_result,
    socket_path,
)
from pyqmail.queue.queued import run_queued
from pyqmail.system.accounts import Account
from pyqmail.system.descriptors import connect

if TYPE_CHECKING:
    import socket

ORDINARY_USER = 65534  # whom root runs the daemon as

ENVELOPE_BYTES = b"Fsue@example.net\0Tjoe@example.org\0\0"


class Run(NamedTuple):
    """What one run gave."""

    seconds: float
    cpu: float  # of the daemon, in seconds


def main() -> None:
    """Print the medians of both ways for each number of messages on their way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--size", type=int, default=1000, help="bytes of a message")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 20, 200])
    parser.add_argument("--directory", help="where the queue is made")
    arguments = parser.parse_args()
    print(f"{arguments.messages} messages of {arguments.size} bytes")
    print(f"{'on their way':>12}{'':16}{'accepted/s':>12}{'CPU ms/message':>16}")
    homes = tempfile.mkdtemp(prefix="bench.", dir=arguments.directory)
    os.chmod(homes, 0o755)
    try:
        print_table(homes, arguments)
    finally:
        # Not before: for some seconds after it removed many files, ext4 makes new ones slowly.
        shutil.rmtree(homes)


def print_table(homes: str, arguments: argparse.Namespace) -> None:
    """Print a line for each number of messages on their way, with and without syncs."""
    for in_flight in arguments.in_flight:
        for synced in (True, False):
            runs = [
                measure(homes, arguments, in_flight, synced=synced) for _ in range(arguments.rounds)
            ]
            rate = arguments.messages / statistics.median(run.seconds for run in runs)
            cpu = 1000 * statistics.median(run.cpu for run in runs) / arguments.messages
            name = "synced" if synced else "without syncs"
            print(f"{in_flight:12}  {name:14}{rate:12.0f}{cpu:16.2f}")


def measure(homes: str, arguments: argparse.Namespace, in_flight: int, *, synced: bool) -> Run:
    """Accept all messages once, into a queue of its own."""
    home = tempfile.mkdtemp(dir=homes)
    make_home(home)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    daemon = multiprocessing.get_context("fork").Process(target=serve, args=(home, synced))
    daemon.start()
    seconds = send(wait_for_socket(home), arguments.messages, arguments.size, in_flight)
    daemon.terminate()
    daemon.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert len(os.listdir(f"{home}/queue/todo")) == arguments.messages
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, cpu)


def make_home(home: str) -> None:
    """Make a private home with an empty queue."""
    uid = os.getuid() or ORDINARY_USER
    os.mkdir(f"{home}/run")
    if os.getuid() == 0:
        os.chown(home, uid, uid)
        os.chown(f"{home}/run", uid, uid)
    layout.make_queue(home, Roles(home, Account("bench", uid, uid, home)))


def serve(home: str, synced: bool) -> None:  # noqa: FBT001  the arguments of a process
    """Be qmail-queued."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(ORDINARY_USER)
        os.setuid(ORDINARY_USER)
    if not synced:
        os.fsync = lambda _descriptor: None
    run_queued(home)


def wait_for_socket(home: str) -> socket.socket:
    """Return a connection to the daemon as soon as it listens."""
    while True:
        try:
            return connect(socket_path(home))
        except OSError:
            time.sleep(0.01)


def send(connection: socket.socket, messages: int, size: int, in_flight: int) -> float:
    """Send all messages, never more than `in_flight` unanswered; return the seconds it took."""
    body = b"Subject: bench\n\n" + b"x" * max(0, size - 17) + b"\n"
    reader = FrameReader()
    sent = answered = 0
    begin = time.perf_counter()
    while answered < messages:
        frames = []
        while sent < messages and sent - answered < in_flight:
            frames.append(encode_frame(sent, BODY, body))
            frames.append(encode_frame(sent, ENVELOPE, ENVELOPE_BYTES))
            sent += 1
        connection.sendall(b"".join(frames))
        reader.feed(connection.recv(65536))
        while (piece := reader.next_piece()) is not None:
            code, _ = parse_result(piece[2])
            assert code == 0, f"qmail-queued answered {code}"
            answered += 1
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
