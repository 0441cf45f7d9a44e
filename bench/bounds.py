"""What messages and homes of unusual size cost: CPU time, peak memory, and whether it is linear.

Each case is run at a quarter of its size too. In linear time the whole takes
four times as much as the quarter, or less where starting counts; `growth` says
how many times it was.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from processes import Cost, cost_of
from tests.support.private_home import HOST, PrivateHome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEGABYTE = 10**6
HEADER = 10 * MEGABYTE
BODY = b"\nhello\n"


class Case(NamedTuple):
    """Something large: what it is, its full size, and how to run it at any size."""

    name: str
    size: int
    run: Callable[[PrivateHome, int], Cost]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only cases whose name has one of these words")
    words = parser.parse_args().words
    print(f"{'CPU s':>8}{'growth':>8}{'peak MB':>9}")
    with PrivateHome("aku") as home:
        for case in CASES:
            if not words or any(word in case.name for word in words):
                whole, quarter = (case.run(home, size) for size in (case.size, case.size // 4))
                growth = whole.cpu / quarter.cpu
                print(f"{whole.cpu:8.2f}{growth:8.1f}{whole.megabytes:9.0f}  {case.name}")


def field(name: bytes, part: bytes) -> Callable[[PrivateHome, int], Cost]:
    """Return what injects a header section with one field: so many bytes of `part`."""
    return header(lambda size: name + b": " + part * (size // len(part)) + b"\n")


def header(make: Callable[[int], bytes]) -> Callable[[PrivateHome, int], Cost]:
    """Return what injects a header section that `make` has made."""

    def run(home: PrivateHome, size: int) -> Cost:
        return program(home, make(size) + BODY, "qmail-inject", "-a", f"aku@{HOST}")

    return run


def addresses(count: int) -> bytes:
    """Return a To field with so many addresses, all different."""
    return b"To: " + b",\n\t".join(b"u%d@example.org" % number for number in range(count)) + b"\n"


def comments(depth: int) -> bytes:
    """Return a To field with comments in comments."""
    return b"To: aku " + b"(" * depth + b"x" + b")" * depth + b"\n"


def forward_lines(home: PrivateHome, count: int) -> Cost:
    """Deliver to a .qmail file of so many forward lines."""
    lines = "".join(f"&u{number}@example.org\n" for number in range(count))
    with files_of_aku(home, {".qmail-many": lines}):
        return deliver(home, "many")


def qmail_files(home: PrivateHome, count: int) -> Cost:
    """Deliver to an address whose .qmail file is one of so many."""
    texts = {f".qmail-{number}": "./Mailbox\n" for number in range(count)}
    with files_of_aku(home, texts):
        return deliver(home, str(count - 1))


def deliver(home: PrivateHome, extension: str) -> Cost:
    """Run qmail-local for `aku-EXTENSION`."""
    return program(
        home,
        b"Subject: bench\n\nhello\n",
        *("qmail-local", "aku", folder_of_aku(home), f"aku-{extension}", "-", extension),
        *(HOST, f"sue@{HOST}", "./Mailbox"),
    )


def folder_of_aku(home: PrivateHome) -> str:
    """Return where the user of the home keeps everything."""
    return f"{home.path}/home/aku"


@contextlib.contextmanager
def files_of_aku(home: PrivateHome, texts: dict[str, str]) -> Iterator[None]:
    """Have the user own these files for a while."""
    for name, text in texts.items():
        with open(f"{folder_of_aku(home)}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    yield
    for name in texts:
        os.unlink(f"{folder_of_aku(home)}/{name}")


def program(home: PrivateHome, message: bytes, name: str, *arguments: str) -> Cost:
    """Run a program of the home, which must succeed."""
    with tempfile.TemporaryFile() as file:
        file.write(message)
        file.seek(0)
        code, cost = cost_of([f"{home.path}/bin/{name}", *arguments], file, home.options())
    assert code == 0, f"{name} ended with {code}"
    return cost


CASES = (
    Case("a header section of 10 MB: one field that is no list", HEADER, field(b"X", b"word ")),
    Case("a header section of 10 MB: many fields", HEADER, header(lambda n: b"X: y\n" * (n // 5))),
    Case("a header section of 10 MB: a folded field", HEADER, field(b"X", b"word\n ")),
    Case("a header section of 10 MB: To: ab,ab,...", HEADER, field(b"To", b"ab,")),
    Case("a header section of 10 MB: To with names", HEADER, field(b"To", b'"A B" <a@b.c>,\n ')),
    Case(
        "a header section of 10 MB: comments in comments",
        HEADER,
        header(lambda n: comments(n // 2)),
    ),
    Case("a To field with 100,000 addresses", 100_000, header(addresses)),
    Case("comments nested 10,000 deep", 10_000, header(comments)),
    Case("a .qmail file of 10,000 forward lines", 10_000, forward_lines),
    Case("one of 1,000 .qmail files", 1000, qmail_files),
)

if __name__ == "__main__":
    main()
