"""Memory of a complete system home, idle and under load, beside Postfix; and its start.

As root: it makes accounts, and fetches Postfix as a Debian package that is only unpacked.
"""

from __future__ import annotations

import os
import smtplib
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from processes import family, proportional_memory
from tests.support.postfix import Postfix
from tests.support.system_home import PREFIX, SystemHome, why_not
from tests.support.unpacked import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SETTLE = 3  # seconds until start-up is over
SESSIONS = 8
LETTERS = 100  # in each
SAMPLE = 0.2  # seconds between two looks
START = 1.5  # seconds that a start may take


def main() -> None:
    """Print a table in kB of PSS, and how long a start takes."""
    if (reason := why_not()) is not None:
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="postfix.") as top:
        os.chmod(top, 0o755)
        measure_ours()
        measure_postfix(Path(top))


def measure_ours() -> None:
    """Measure a system home with delivery to Maildirs."""
    with SystemHome("aku") as home:
        home.write("control/defaultdelivery", "./Maildir/\n")
        home.as_user("aku", "maildirmake", "Maildir")
        path = f"{home.path}/supervise/qmail-smtpd/run"
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(" 0 smtp ", " 127.0.0.1 2599 "))
        took = start_time(home)
        print(f"start to the first accepted letter: {took:.2f} s")
        home.run("qmailctl", "start")
        time.sleep(SETTLE)

        def pids() -> list[int]:
            return [pid for found in home.processes().values() for pid in found]

        report("pyqmail", pids, 2599, f"{PREFIX}aku@mail.example.org")
        home.run("qmailctl", "stop")
        if took > START:
            sys.exit(f"a start takes more than {START} s")


def start_time(home: SystemHome) -> float:
    """Return the seconds from the start of a boot script to the first letter that was taken."""
    os.symlink("boot/home", f"{home.path}/rc")
    begin = time.monotonic()
    if os.fork() == 0:
        os.setsid()
        os.execve(f"{home.path}/rc", ["rc"], home.environ())
    while not os.path.exists(f"{home.path}/run/queue.sock"):
        time.sleep(0.01)
    done = home.run("qmail-inject", f"{PREFIX}aku", text="subject: first\n\n", user="aku")
    took = time.monotonic() - begin
    assert done.returncode == 0, done.stderr
    home.run("qmailctl", "stop")
    os.unlink(f"{home.path}/rc")
    return took


def measure_postfix(top: Path) -> None:
    """Measure a Postfix with its usual services, which keeps what it takes."""
    settings = {"mydestination": "mail.example.org", "myhostname": "mail.example.org"}
    root = unpack("postfix", top)
    server = Postfix(root, top / "run", settings)
    master_path = f"{root}/usr/lib/postfix/sbin/master"
    with server.running(delivers=True):
        time.sleep(SETTLE)
        (master,) = (
            int(name)
            for name in os.listdir("/proc")
            if name.isdigit() and command_of(name) == master_path
        )
        report("Postfix", lambda: family(master), server.port, "aku@mail.example.org")


def command_of(pid: str) -> str:
    """Return the path by which a process was started."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="latin-1") as file:
            return file.read().split("\0")[0]
    except OSError:
        return ""


def report(name: str, pids: Callable[[], Iterable[int]], port: int, to: str) -> None:
    """Print what the processes have idle, and at most under load."""
    idle = memory(pids())
    threads = [threading.Thread(target=send, args=(port, to)) for _ in range(SESSIONS)]
    for thread in threads:
        thread.start()
    most = idle
    while any(thread.is_alive() for thread in threads):
        most = max(most, memory(pids()))
        time.sleep(SAMPLE)
    print(f"{name}: idle {idle / 1024:.1f} MB, under load {most / 1024:.1f} MB (PSS)")


def memory(pids: Iterable[int]) -> int:
    """Return the memory of some processes; who has ended meanwhile has none."""
    total = 0
    for pid in pids:
        try:
            total += proportional_memory(pid)
        except (OSError, StopIteration):
            continue
    return total


def send(port: int, to: str) -> None:
    """Send letters in one session."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        for number in range(LETTERS):
            client.sendmail("ann@example.org", [to], f"subject: {number}\r\n\r\nhello\r\n")


if __name__ == "__main__":
    main()
