"""Who listens on a TCP port of this machine, as Linux tells in /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN: Final = "0A"  # the state of a socket; proc(5)
_ADDRESS, _STATE, _INODE = 1, 3, 9  # columns


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a listening socket."""

    pid: int
    command: str


def listeners(port: int) -> list[Holder | None]:
    """Return who listens on the port; None for somebody who cannot be seen. Raises OSError."""
    inodes = {inode for table in _TABLES for inode in _listening(table, port)}
    if not inodes:
        return []
    holders = list(_holders({f"socket:[{inode}]" for inode in inodes}))
    return list(holders) or [None]


def _listening(table: str, port: int) -> Iterator[str]:
    try:
        with open(table, encoding="ascii") as lines:
            next(lines)  # the heading
            rows = [line.split() for line in lines]
    except FileNotFoundError:
        return  # a kernel without IPv6
    for row in rows:
        if row[_STATE] == _LISTEN and int(row[_ADDRESS].rpartition(":")[2], 16) == port:
            yield row[_INODE]


def _holders(links: set[str]) -> Iterator[Holder]:
    for name in os.listdir("/proc"):
        if name.isdigit() and links & set(_open_files(name)):
            yield Holder(int(name), _command(name))


def _open_files(pid: str) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    try:
        for descriptor in os.listdir(folder):
            yield os.readlink(f"{folder}/{descriptor}")
    except OSError:
        return  # not ours to look at, or gone


def _command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "backslashreplace").strip()
    except OSError:
        return "?"
