"""Processes of the machine that this one has not started: who they are, and signals to them.

A number alone names a process only as long as it lives, and may name another
one a moment later. So a process is known by its number and the moment it began.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_BEGIN = 19  # column of /proc/PID/stat after the name: when it began, in ticks since boot; proc(5)
_STATE = 0
_GONE = ("Z", "X")


@dataclass(frozen=True, slots=True)
class Process:
    """One process, from its beginning to its end."""

    pid: int
    began: int

    @property
    def lives(self) -> bool:
        """Does it still run?"""
        return process_of(self.pid) == self

    @property
    def title(self) -> str:
        """What lists of processes show; nothing if it is gone."""
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                return file.read().replace(b"\0", b" ").decode("utf-8", "backslashreplace").strip()
        except OSError:
            return ""

    @property
    def age(self) -> int:
        """For how many seconds it has run."""
        with open("/proc/uptime", encoding="ascii") as file:
            uptime = float(file.read().split()[0])
        return max(0, int(uptime - self.began / os.sysconf("SC_CLK_TCK")))

    def signal(self, number: int) -> bool:
        """Send it a signal; say whether it was there. Raises PermissionError."""
        if not self.lives:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def process_of(pid: int) -> Process | None:
    """Return the process that has this number now; None if there is none, or only its remains."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            # The name in parentheses may hold anything; what follows is numbers.
            columns = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if columns[_STATE] in _GONE else Process(pid, int(columns[_BEGIN]))


def holder_of(path: str) -> Process | None:
    """Return who has locked the file `path`; None if nobody has, or it cannot be told."""
    try:
        inode = str(os.stat(path).st_ino)
        with open("/proc/locks", encoding="ascii") as file:
            rows = [line.split() for line in file]
    except FileNotFoundError:
        return None
    # 1: FLOCK ADVISORY WRITE pid device:device:inode start end; `->` marks who only waits.
    for row in rows:
        if "->" not in row and "FLOCK" in row:
            place = row.index("FLOCK")
            pid, file_id = row[place + 3], row[place + 4]
            if file_id.rpartition(":")[2] == inode and (found := process_of(int(pid))):
                return found
    return None
