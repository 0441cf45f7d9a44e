"""Pull the plug of a loaded home, again and again, and look for every message that was accepted.

A private home works on a disk of its own, which is a file on another file system that can
copy a file in one moment (XFS). Such a copy, made while messages come in and are delivered, is what
a power cut would have left of the disk at that moment: what the kernel had not written is not in
it. Then the home is started on each copy, and every message whose sender had heard of success
before must lie in its mailbox. Needs root, loop devices and xfsprogs.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support.private_home import HOST, PrivateHome

from pyqmail.errors import Failure
from pyqmail.queue import journal_use
from pyqmail.queue.client import QueueClient

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS = [f"user{number}" for number in range(10)]
SENDERS = 8
DISK_SIZE = 600 << 20  # bytes
KINDS = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "ext4 without a journal": ["mkfs.ext4", "-q", "-F", "-O", "^has_journal"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}
REPAIR = {"ext4 without a journal": ["fsck.ext4", "-y"]}
PATIENCE = 120  # seconds until all are delivered
OTHER_BOOT = b"00000000-0000-0000-0000-000000000000"


def main() -> None:
    """Print what was found after each cut."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=25, help="of work, for all cuts")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    arguments = parser.parse_args()
    if os.getuid() != 0:
        print("not run: only root can mount disks")
        return
    print(f"{arguments.cuts} cuts in {arguments.seconds:.0f} s, seed {arguments.seed}")
    for kind in arguments.kind or KINDS:
        for delivers in (True, False):
            with tempfile.TemporaryDirectory(prefix="power.") as top:
                os.chmod(top, 0o755)
                drill(kind, Path(top), arguments, delivers=delivers)


def drill(kind: str, top: Path, arguments: argparse.Namespace, *, delivers: bool) -> None:
    """Let a home work, or its qmail-queued alone, take copies of its disk, and look at each."""
    shelf = make_file_system(["mkfs.xfs", "-q", "-f", "-m", "reflink=1"], top / "shelf", 8 << 30)
    with mounted(shelf, top / "copies"), ExitStack() as stack:
        disk = make_file_system(KINDS[kind], top / "copies/disk", DISK_SIZE)
        place = top / "place"
        with mounted(disk, place):
            home = stack.enter_context(PrivateHome(*USERS, folder=str(place / "home")))
            with at_work(home, delivers=delivers):
                cuts = work_and_cut(home, disk, arguments)
        print(f"{kind}, {'delivering' if delivers else 'accepting only'}")
        print(f"{'accepted':>10}{'missing':>9}{'twice':>7}{'made again':>12}{'set aside':>11}")
        for cut in cuts:
            if kind in REPAIR:  # as the machine does before it mounts such a disk
                subprocess.run([*REPAIR[kind], cut.disk], check=False, stdout=subprocess.DEVNULL)
            with mounted(cut.disk, place):
                look_at(home, cut)


@contextmanager
def at_work(home: PrivateHome, *, delivers: bool) -> Iterator[None]:
    """Have all of the home run, or qmail-queued alone."""
    if delivers:
        try:
            home.start()
            yield
            home.stop()
        finally:
            home.kill_all()
        return
    queued = subprocess.Popen([f"{home.path}/bin/qmail-queued"], **home.options())
    try:
        home.wait(lambda: os.path.exists(f"{home.path}/run/queue.sock"), "nobody listens")
        yield
    finally:
        queued.terminate()
        queued.wait()


class Cut(NamedTuple):
    """A copy of the disk, and which messages had been accepted when it was taken."""

    disk: Path
    told: frozenset[str]


def work_and_cut(home: PrivateHome, disk: Path, arguments: argparse.Namespace) -> list[Cut]:
    """Send messages for some seconds, and copy the disk at random moments."""
    chance = random.Random(arguments.seed)
    moments = sorted(chance.uniform(3, arguments.seconds) for _ in range(arguments.cuts))
    told: list[str] = []
    over = threading.Event()
    senders = [
        threading.Thread(target=send, args=(home.path, number, told, over))
        for number in range(SENDERS)
    ]
    begin = time.monotonic()
    for sender in senders:
        sender.start()
    cuts = []
    for number, moment in enumerate(moments):
        time.sleep(max(begin + moment - time.monotonic(), 0))
        before = frozenset(told)
        copy = disk.with_name(f"cut{number}")
        subprocess.run(["cp", "--reflink=always", disk, copy], check=True)
        cuts.append(Cut(copy, before))
    over.set()
    for sender in senders:
        sender.join()
    return cuts


def send(home: str, sender: int, told: list[str], over: threading.Event) -> None:
    """Send one message after the other; note each that was accepted."""
    chance = random.Random(sender)
    number = 0
    while not over.is_set():
        number += 1
        name = f"{sender}-{number}"
        user = USERS[number % len(USERS)]
        client = QueueClient({b"QMAILHOME": os.fsencode(home)})
        try:
            client.write(letter(name, chance.choice((300, 1000, 5000, 100_000))))
            client.commit(b"sue@example.net", [f"{user}@{HOST}".encode()])
        except Failure as failure:
            print(f"not accepted: {failure}")
        else:
            told.append(name)


def letter(name: str, size: int) -> bytes:
    """Return a message that says what it is, how long, and when it ends."""
    head = f"Subject: {name} {size}\n\n".encode()
    return head + b"x" * size + b"\nend\n"


def look_at(home: PrivateHome, cut: Cut) -> None:
    """Start the home on a copy, have all delivered, and count what is in the mailboxes."""
    use = f"{home.path}/queue/journal/use"
    if os.path.exists(use):  # the machine is the same, but shall not seem so
        text = Path(use).read_bytes()
        Path(use).write_bytes(text.replace(journal_use.boot_id(), OTHER_BOOT))
    written = len(home.log())
    try:
        home.start()
        home.wait(lambda: not pending(home, written), "the queue did not become empty", PATIENCE)
        home.stop()
    finally:
        home.kill_all()
    log = home.log()[written:]
    found = Counter(name for user in USERS for name in names(home.mail(user)))
    missing = cut.told - set(found)
    twice = sum(count - 1 for count in found.values())
    made = re.search(r"(\d+) made again", log)
    aside = len(re.findall(r"alert: msg \d+ set aside", log))
    print(f"{len(cut.told):10}{len(missing):9}{twice:7}{made[1] if made else '-':>12}{aside:11}")
    assert not missing, f"lost: {sorted(missing)[:10]}"


def pending(home: PrivateHome, written: int) -> bool:
    """Ask whether a message is on its way.

    One that was never accepted may lie there, and one that was delivered may have come back
    without all of its files: that is set aside.
    """
    queue = f"{home.path}/queue"
    found = {
        file
        for name in ("todo", "info")
        for _, _, files in os.walk(f"{queue}/{name}")
        for file in files
    }
    return bool(found - set(re.findall(r"alert: msg (\d+) set aside", home.log()[written:])))


def names(messages: list[bytes]) -> Iterator[str]:
    """Yield what the messages say they are; each must be whole."""
    for message in messages:
        found = re.search(rb"\nSubject: (\S+) (\d+)\n", message)
        assert found, f"not a message of ours: {message[:200]!r}"
        name, size = found[1].decode(), int(found[2])
        assert message.endswith(letter(name, size)), f"{name} is damaged"
        yield name


def make_file_system(command: list[str], path: Path, size: int) -> Path:
    """Make a file system in a file."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run([*command, str(path)], check=True, stdout=subprocess.DEVNULL)
    return path


@contextmanager
def mounted(disk: Path, place: Path) -> Iterator[None]:
    """Have a file mounted as a disk."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", disk, place], check=True)
    try:
        yield
    finally:
        # After a failure a process may still have something open there.
        if subprocess.run(["umount", place], check=False).returncode != 0:
            subprocess.run(["umount", "--lazy", place], check=True)


if __name__ == "__main__":
    main()
