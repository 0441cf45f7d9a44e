"""What it costs to start each program of every message, against the bare interpreter."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
from typing import TYPE_CHECKING

from processes import cost_of
from tests.support.launchers import program_names
from tests.support.per_message import ARGUMENTS, ENVIRONMENT, PER_MESSAGE
from tests.support.private_home import PrivateHome

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 15
LIMIT = 2.5  # times the bare interpreter
BARE = "python -I -S -c pass"
LETTER = b"to: aku\n\nhello\n"
ENVELOPE = b"Faku@mail.example.org\0Taku@mail.example.org\0\0"


def main() -> None:
    """Run all of them in turn, several times; print medians. Exit 1 above the limit."""
    names = [BARE, *(name for name in PER_MESSAGE if name in program_names())]
    times: dict[str, list[float]] = {name: [] for name in names}
    with PrivateHome("aku") as home:
        home.start()
        options = home.options(**ENVIRONMENT)
        for _ in range(ROUNDS):
            for name in names:
                times[name].append(cpu_of(argv_for(name, home.path), options))
    bare = statistics.median(times[BARE])
    worst = 0.0
    for name in names:
        median = statistics.median(times[name])
        worst = max(worst, median / bare)
        print(f"{median * 1000:7.1f} ms user+sys  {median / bare:5.2f}  {name}")
    print(f"the slowest takes {worst:.2f} times the bare interpreter (limit {LIMIT})")
    sys.exit(worst > LIMIT)


def argv_for(name: str, home: str) -> list[str]:
    """Return the command that is measured."""
    if name == BARE:
        return [os.path.realpath(sys.executable), "-I", "-S", "-c", "pass"]
    return [f"{home}/bin/{name}", *ARGUMENTS.get(name, [])]


def cpu_of(argv: list[str], options: dict[str, object]) -> float:
    """Run a command; return its user and system time, those of its children included."""
    with filled_pipe(LETTER) as message, filled_pipe(ENVELOPE) as envelope:
        stdout = envelope if argv[0].endswith("/qmail-queue") else None
        return cost_of(argv, message, options, stdout)[1].cpu


@contextlib.contextmanager
def filled_pipe(text: bytes) -> Iterator[int]:
    """Open a pipe from which `text` can be read."""
    reader, writer = os.pipe()
    os.write(writer, text)
    os.close(writer)
    yield reader
    os.close(reader)


if __name__ == "__main__":
    main()
