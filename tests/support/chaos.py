"""A system home under load while its processes are killed: who sends, who kills, who counts."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.children import NOBODY

from pyqmail.errors import Failure
from pyqmail.queue.client import QueueClient

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.support.system_home import SystemHome

# Debian's programs; it is ours that are to be killed.
SPARED = ("svscan", "supervise")
SENDERS = 4
PATIENCE = 240  # seconds for all letters to arrive after the last kill
_NUMBER = re.compile(rb"^subject: letter (\d+)$", re.MULTILINE)
_FOLDERS = ("mess", "pid", "intd", "todo", "info", "local", "remote", "bounce")


@contextmanager
def supervised(home: SystemHome) -> Iterator[None]:
    """Have the services of the home started again whenever they die."""
    service = f"{home.top}/service"
    os.mkdir(service)
    os.symlink(f"{home.path}/supervise/qmail-send", f"{service}/qmail-send")
    with subprocess.Popen(["svscan", service], env=home.environ(), start_new_session=True) as scan:
        try:
            yield
        finally:
            os.killpg(scan.pid, signal.SIGKILL)
            home.kill_all()


class Load:
    """Sends `letters` to `users` in turn; after `wait()`, `accepted` says which were taken.

    The senders are processes of an ordinary user, who has no way but qmail-queued.
    """

    def __init__(self, home: SystemHome, users: list[str], letters: int) -> None:
        self.accepted: dict[int, str] = {}
        self._environ = {b"QMAILHOME": os.fsencode(home.path)}
        self._users = users
        self._letters = letters
        self._senders: list[int] = []
        self._reading = -1

    def start(self) -> None:
        self._reading, writing = os.pipe()
        for first in range(SENDERS):
            pid = os.fork()
            if pid == 0:
                self._be_sender(first, writing)
            self._senders.append(pid)
        os.close(writing)

    def wait(self) -> None:
        with open(self._reading, encoding="ascii") as said:
            numbers = [int(line) for line in said]
        for pid in self._senders:
            os.waitpid(pid, 0)
        self.accepted = {number: self._to(number) for number in numbers}

    def _to(self, number: int) -> str:
        return self._users[number % len(self._users)]

    def _be_sender(self, first: int, writing: int) -> None:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            for number in range(first, self._letters, SENDERS):
                while not self._offer(number):
                    time.sleep(0.05)
                os.write(writing, b"%d\n" % number)
        finally:
            os._exit(0)

    def _offer(self, number: int) -> bool:
        to = self._to(number)
        try:
            client = QueueClient(self._environ)
            client.write(b"subject: letter %d\nto: you\n\nhello\n" % number)
            client.commit(b"", [(to if "@" in to else f"{to}@mail.example.org").encode()])
        except (Failure, OSError):
            return False
        return True


def kill_at_random(home: SystemHome, chance: random.Random) -> str:
    """Kill one process of the home; return what it was."""
    found = [
        (title, pid)
        for title, pids in home.processes().items()
        for pid in pids
        if os.path.basename(title) not in SPARED
    ]
    if not found:
        return ""
    title, pid = chance.choice(found)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return title


def settle(home: SystemHome) -> None:
    """Return when nothing waits that was accepted; letters are tried again at once meanwhile."""
    end = time.monotonic() + PATIENCE
    while any(queued(home, name) for name in ("todo", "info", "local", "remote", "bounce")):
        assert time.monotonic() < end, f"these wait: {[queued(home, name) for name in _FOLDERS]}"
        for pid in home.processes().get("qmail-send", []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGALRM)
        time.sleep(0.5)


def queued(home: SystemHome, name: str) -> list[str]:
    """Return the files in one folder of the queue."""
    places = os.walk(f"{home.path}/queue/{name}")
    return [f"{folder}/{file}" for folder, _, files in places for file in files]


def states(home: SystemHome) -> dict[int, set[str]]:
    """Return for each message the folders that have a file of it."""
    found: dict[int, set[str]] = {}
    for name in _FOLDERS:
        if name != "pid":
            for path in queued(home, name):
                found.setdefault(int(os.path.basename(path)), set()).add(name)
    return found


def is_allowed(folders: set[str]) -> bool:
    """Ask whether a message may be in this state: S2 to S5 of qmail's INTERNALS."""
    if "mess" not in folders:
        return False
    if "todo" in folders:
        return "bounce" not in folders
    if "info" in folders:
        return "intd" not in folders
    return folders <= {"mess", "intd"}


def all_queued(home: SystemHome) -> list[str]:
    """Return all files of messages in the queue."""
    return [path for name in _FOLDERS for path in queued(home, name)]


def letters_of(home: SystemHome, user: str) -> list[int]:
    """Return the numbers of the letters in a user's Maildir."""
    folder = f"{home.home_of(user)}/Maildir/new"
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        with open(f"{folder}/{name}", "rb") as file:
            found += [int(number) for number in _NUMBER.findall(file.read())]
    return found
