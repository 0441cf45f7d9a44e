"""What processes cost: read from /proc."""

from __future__ import annotations

import os
import subprocess
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What one run of a program cost, with its children."""

    cpu: float  # seconds of user and system time
    megabytes: float  # at its peak, but not less than this process has


def cost_of(
    argv: Sequence[str], stdin: int | IO[bytes], options: dict[str, Any], stdout: int | None = None
) -> tuple[int, Cost]:
    """Run a program; return its exit code and cost."""
    process = subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=subprocess.DEVNULL if stdout is None else stdout,
        stderr=subprocess.DEVNULL,
        **options,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cost = Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    return process.returncode, cost


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents = {int(name): _parent(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, its descendants and those that have ended."""
    return sum(cpu_of_each(pid).values())


def cpu_of_each(pid: int) -> dict[str, float]:
    """Return user and system time by the name of the program, for a process and its descendants."""
    seconds: dict[str, float] = {}
    for member in family(pid):
        name = _name(title(member))
        ticks = sum(map(int, _status(member)[11:15]))
        seconds[name] = seconds.get(name, 0) + ticks / TICKS
    return seconds


def _name(command: str) -> str:
    """Return the program's name of what `ps` shows."""
    words = [word.rpartition("/")[2] for word in command.split()]
    return next((word for word in words if word.startswith("qmail-")), "qmailctl")


def proportional_memory(pid: int) -> int:
    """Return a process's memory in kB; what is shared counts in parts (PSS)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def title(pid: int) -> str:
    """Return what `ps` calls a process."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="latin-1") as file:
            return " ".join(file.read().strip("\0").split("\0"))
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _parent(pid: int) -> int:
    status = _status(pid)
    return int(status[1]) if status else 0


def _status(pid: int) -> list[str]:
    """Return the fields of a process from its state on; none if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
