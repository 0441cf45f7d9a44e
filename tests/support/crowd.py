"""Many connections at once, as many as this machine lets us have."""

from __future__ import annotations

import resource
import socket
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_DESCRIPTORS = 200  # what a test process has open besides


def affordable(wanted: int) -> int:
    """Return how many of `wanted` connections we may open, and say so if it is fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted + OTHER_DESCRIPTORS:
        raised = min(hard, wanted + OTHER_DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    most = min(wanted, soft - OTHER_DESCRIPTORS)
    if most < wanted:
        sys.stdout.write(f"only {most} of {wanted} connections: descriptors end at {hard}\n")
    return most


@contextmanager
def crowd(port: int, number: int) -> Iterator[list[socket.socket]]:
    """Open `number` connections to a port of loopback; close them in the end."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
            for _ in range(number)
        ]


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has for itself."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        kilobytes = [int(line.split()[1]) for line in file if line.startswith(("Private", "Swap:"))]
    return sum(kilobytes) * 1024


def processor_time(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def proportional(pid: int) -> int:
    """Return the bytes of memory of a process; what is shared counts in parts (PSS)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
