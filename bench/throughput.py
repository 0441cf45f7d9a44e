"""Messages from one program through the queue socket into Maildirs, and what custody costs.

Each run has a new private home, and is made twice in turn: as it is, and with
sync calls replaced by nothing. Homes are removed after the last run only: for
some seconds after thousands of files were removed, ext4 makes new ones slowly.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import socket
import statistics
import time
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from processes import cpu_of_each
from tests.support.private_home import HOST, PrivateHome

from pyqmail.queue.frames import BODY, ENVELOPE, FrameReader, encode_frame, socket_path

if TYPE_CHECKING:
    from collections.abc import Callable

USERS = [f"user{number}" for number in range(10)]
INTERVAL = 0.01  # seconds between two looks at the log
IN_FLIGHT = 200  # messages sent and not yet answered
LETTER = b"From: bench@%s\nTo: you\nSubject: 1 kB\n\n" % HOST.encode() + b"0123456789abcde\n" * 61

# The launcher runs this first, so that every process of the home has it.
WITHOUT_SYNC = "import os; os.fsync = os.fdatasync = lambda descriptor: None\n"


class Run(NamedTuple):
    """What one run gave."""

    accepted: float  # seconds until the last answer
    delivered: float  # seconds until the last delivery
    cpu: dict[str, float]  # seconds, of each process of the home and of the sender


def main() -> None:
    """Print medians of both ways, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=10, help="control/concurrencylocal")
    arguments = parser.parse_args()
    runs: dict[bool, list[Run]] = {True: [], False: []}
    with contextlib.ExitStack() as homes:
        for _ in range(arguments.rounds):
            for synced in (True, False):
                home = homes.enter_context(PrivateHome(*USERS))
                runs[synced].append(measure(home, arguments, synced=synced))
    print(
        f"{arguments.messages} messages of {len(LETTER)} bytes, "
        f"{arguments.concurrency} deliveries at once, median of {arguments.rounds} runs"
    )
    print(f"{'':14}{'accepted/s':>12}{'delivered/s':>12}{'CPU ms/message':>16}")
    rows = {synced: row(runs[synced], arguments.messages) for synced in runs}
    for synced, name in ((True, "synced"), (False, "without syncs")):
        accepted, delivered, cpu = rows[synced]
        print(f"{name:14}{accepted:12.0f}{delivered:12.0f}{cpu:16.2f}")
    accepted, delivered, cpu = (
        with_ / without for with_, without in zip(*rows.values(), strict=True)
    )
    print(f"{'ratio':14}{accepted:12.2f}{delivered:12.2f}{cpu:16.2f}")
    print("CPU ms/message of each process, synced:")
    for name in runs[True][0].cpu:
        cpu = statistics.median(run.cpu.get(name, 0) for run in runs[True])
        print(f"{name:14}{cpu / arguments.messages * 1000:40.2f}")


def row(runs: list[Run], messages: int) -> tuple[float, float, float]:
    """Return messages accepted and delivered in a second, and CPU milliseconds for each."""
    accepted = statistics.median(run.accepted for run in runs)
    delivered = statistics.median(run.delivered for run in runs)
    cpu = statistics.median(sum(run.cpu.values()) for run in runs)
    return messages / accepted, messages / delivered, cpu / messages * 1000


def measure(home: PrivateHome, arguments: argparse.Namespace, *, synced: bool) -> Run:
    """Run a new home, send the messages, and wait until all lie in their Maildirs."""
    if not synced:
        leave_syncs_out(f"{home.path}/bin/pyqmail")
    with open(f"{home.path}/control/concurrencylocal", "w", encoding="ascii") as file:
        file.write(f"{arguments.concurrency}\n")
    home.start()
    before = cpu_of_each(home.pid)
    own_before = own_cpu()
    start = time.monotonic()
    send(socket_path(home.path), arguments.messages)
    accepted = time.monotonic() - start
    sender = own_cpu() - own_before
    with open(home.log_path, "rb") as log:
        ends = LineCount(log, b"end msg ")
        wait(home, lambda: ends.so_far() >= arguments.messages)
    delivered = time.monotonic() - start
    cpu = {
        name: seconds - before.get(name, 0) for name, seconds in cpu_of_each(home.pid).items()
    } | {"the sender": sender}
    arrived = sum(len(home.mail(user)) for user in USERS)
    assert arrived == arguments.messages, f"{arrived} messages arrived"
    assert home.stop() == 0, "the home did not stop as it should"
    return Run(accepted, delivered, cpu)


def wait(home: PrivateHome, enough: Callable[[], bool]) -> None:
    """Return when `enough()` is true, however slow the disk is; fail if the home ends."""
    while not enough():
        assert home.runs(), f"the home ended; the log:\n{home.log()}"
        time.sleep(INTERVAL)


class LineCount:
    """Counts the lines of a growing file that begin with something; reads each once."""

    def __init__(self, file: BinaryIO, beginning: bytes) -> None:
        self._file = file
        self._beginning = beginning
        self._rest = b""
        self._count = 0

    def so_far(self) -> int:
        """Return how many there are by now."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        self._count += sum(line.startswith(self._beginning) for line in lines)
        return self._count


def leave_syncs_out(launcher: str) -> None:
    """Make every program of the home start without sync calls."""
    with open(launcher, encoding="utf-8") as file:
        first, rest = file.readline(), file.read()
    with open(launcher, "w", encoding="utf-8") as file:
        file.write(first + WITHOUT_SYNC + rest)


def own_cpu() -> float:
    """Return the CPU seconds of this process, the sender."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def send(path: str, messages: int) -> None:
    """Send all messages over one connection; return when each was accepted."""
    reader = FrameReader()
    sent = answered = 0
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        while answered < messages:
            ready = min(messages, answered + IN_FLIGHT) - sent
            if ready > IN_FLIGHT // 2 or sent + ready == messages:
                connection.sendall(b"".join(map(frames, range(sent, sent + ready))))
                sent += ready
            answered += count_answers(reader, connection.recv(65536))


def frames(number: int) -> bytes:
    """Return what makes one message."""
    user = USERS[number % len(USERS)]
    envelope = f"Fbench@{HOST}\0T{user}@{HOST}\0\0".encode()
    return encode_frame(number + 1, BODY, LETTER) + encode_frame(number + 1, ENVELOPE, envelope)


def count_answers(reader: FrameReader, data: bytes) -> int:
    """Return how many answers have ended in `data`; each must be a yes."""
    assert data, "the connection broke"
    reader.feed(data)
    ended = 0
    while (piece := reader.next_piece()) is not None:
        _, _, payload, is_last = piece
        assert payload[:1] == b"\0", f"refused with {payload!r}"
        ended += is_last
    return ended


if __name__ == "__main__":
    os.umask(0o022)
    main()
