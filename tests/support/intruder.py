"""What somebody who has taken over an account tries in a home. Runs alone, as that account.

Prints as JSON what it could change, which mail it could read, and whom it could signal.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys

NAME = ".intruder"


def main() -> None:
    """Try everything: `intruder.py HOME PID…`."""
    home, pids = sys.argv[1], [int(word) for word in sys.argv[2:]]
    changed, read = set(), set()
    for folder, _, names in os.walk(home, onerror=None):
        if can_create(folder):
            changed.add(os.path.relpath(folder, home))
        for name in names:
            path = os.path.join(folder, name)
            if can_open(path, os.O_WRONLY | os.O_APPEND):
                changed.add(os.path.relpath(path, home))
            if "/queue/" in path and can_open(path, os.O_RDONLY):
                read.add(os.path.relpath(path, home))
    signalled = [pid for pid in pids if can_signal(pid)]
    shout(f"{home}/run/queue.sock")
    found = {"changed": sorted(changed), "read": sorted(read), "signalled": signalled}
    sys.stdout.write(json.dumps(found))


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


def shout(path: str) -> None:
    """Say what no client says."""
    for text in (os.urandom(5000), b"\xff" * 9, b"\0\0\0\1E\xff\xff\xff\xff", b""):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(path)
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            client.recv(1000)


if __name__ == "__main__":
    main()
