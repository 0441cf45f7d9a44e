"""What somebody who has taken over an account, or a process, tries in a home. Needs no other file.

Runs alone, as an account, or within a process of ours that a test has made hostile (hostile.py).
Tells what it could change, which mail it could read, whom it could signal, and more.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = ".intruder"


def main() -> None:
    """Try everything: `intruder.py HOME PID…`."""
    home, pids = sys.argv[1], [int(word) for word in sys.argv[2:]]
    found = intrude(home, pids)
    shout(f"{home}/run/queue.sock")
    sys.stdout.write(json.dumps(found))


def intrude(home: str, pids: list[int], known: Iterable[str] = ()) -> dict[str, object]:
    """Return what could be done; `known` are folders and files that may be closed to a look."""
    changed, read = set(), set()
    paths = set(known)
    for folder in [home, *known]:
        for inner, folders, names in os.walk(folder):
            paths.update(os.path.join(inner, name) for name in (*folders, *names))
    for path in paths:
        if can_create(path) or can_open(path, os.O_WRONLY | os.O_APPEND):
            changed.add(os.path.relpath(path, home))
        if "/queue/" in path and not os.path.isdir(path) and can_open(path, os.O_RDONLY):
            read.add(os.path.relpath(path, home))
    signalled = [pid for pid in pids if can_signal(pid)]
    return {
        "changed": sorted(changed),
        "read": sorted(read),
        "signalled": signalled,
        "executed": can_execute(),
        "outside": can_open(f"{home}/../public", os.O_RDONLY),
    }


def can_create(folder: str) -> bool:
    path = os.path.join(folder, NAME)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return False
    os.unlink(path)
    return True


def can_open(path: str, how: int) -> bool:
    try:
        os.close(os.open(path, how | os.O_NONBLOCK | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def can_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def can_execute() -> bool:
    try:
        pid = os.posix_spawn("/bin/true", ["true"], {})
    except OSError:
        return False
    with contextlib.suppress(ChildProcessError):  # whom we are in may ignore its children
        os.waitpid(pid, 0)
    return True


def shout(path: str) -> None:
    """Say what no client says."""
    for text in (os.urandom(5000), b"\xff" * 9, b"\0\0\0\1E\xff\xff\xff\xff", b""):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(path)
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            client.recv(1000)


def disturb(spared: set[int]) -> int:
    """Say what nobody says on every socket and pipe that this process has; return on how many."""
    texts = (struct.pack("i", os.getpid()), os.urandom(3000), b"\xff" * 9, b"\0" * 100)
    found = 0
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        for text in texts:
            with contextlib.suppress(OSError):
                mode = os.fstat(descriptor).st_mode
                if descriptor in spared or not (stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)):
                    continue
                said = send(descriptor, text) if stat.S_ISSOCK(mode) else os.write(descriptor, text)
                found += said > 0
    return found


def send(descriptor: int, text: bytes) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        return copy.send(text, socket.MSG_DONTWAIT)


if __name__ == "__main__":
    main()
