"""A scratch home for one vector, and the queue in it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.differential.replay.words import NormalForm

SPLIT = 23  # folders below mess, info, local and remote
TABLE_LENGTH = 1024  # bytes of lock/tcpto

# Folder: owner, mode, split. The original's; INSTALL and hier say the same.
QUEUE_FOLDERS = (
    ("", "qmailq", 0o750, False),
    ("bounce", "qmails", 0o700, False),
    ("info", "qmails", 0o700, True),
    ("intd", "qmailq", 0o700, False),
    ("local", "qmails", 0o700, True),
    ("lock", "qmailq", 0o750, False),
    ("mess", "qmailq", 0o750, True),
    ("pid", "qmailq", 0o700, False),
    ("remote", "qmails", 0o700, True),
    ("todo", "qmailq", 0o750, False),
)


class ScratchHome:
    """A folder that all accounts can reach, with `home` (QMAILHOME) and `work` in it."""

    def __init__(self, bin_folder: str) -> None:
        self.top = tempfile.mkdtemp(prefix="replay.")
        self.bin = bin_folder
        self.home = f"{self.top}/qmail"
        self.work = f"{self.top}/home"
        self.capture = f"{self.top}/capture"
        self.port = 0  # of the vector's server
        for path in (self.home, self.work):
            os.mkdir(path)
        for name in ("control", "users", "alias"):
            os.mkdir(f"{self.home}/{name}")
        os.symlink(bin_folder, f"{self.home}/bin")
        for path in (self.top, self.work):
            os.chmod(path, 0o755)

    def words(self) -> dict[str, str]:
        """Return what the words in braces mean here."""
        port = str(self.port)
        return {"HOME": self.work, "QMAILHOME": self.home, "BIN": self.bin, "PORT": port}

    def places(self) -> dict[str, str]:
        """Return which paths become which words again."""
        return {
            f"{self.home}/bin": "{BIN}",
            self.bin: "{BIN}",
            self.home: "{QMAILHOME}",
            self.work: "{HOME}",
            self.capture: "{CAPTURE}",
        }

    def make_queue(self) -> None:
        """Make an empty queue, owned as the original's if we are root."""
        for name, owner, mode, split in QUEUE_FOLDERS:
            numbers = [f"/{number}" for number in range(SPLIT)] if split else []
            for suffix in ("", *numbers):
                path = f"{self.home}/queue/{name}{suffix}"
                os.mkdir(path)
                own(path, owner)
                os.chmod(path, mode)
        self._make_lock_file("sendmutex", "qmails", 0o600, b"")
        self._make_lock_file("tcpto", "qmailr", 0o644, bytes(TABLE_LENGTH))
        trigger = f"{self.home}/queue/lock/trigger"
        os.mkfifo(trigger)
        own(trigger, "qmails")
        os.chmod(trigger, 0o622)

    def make_timeout_table(self) -> None:
        """Make the one file of the queue that programs without a queue may look at."""
        os.makedirs(f"{self.home}/queue/lock")
        self._make_lock_file("tcpto", "", 0o644, bytes(TABLE_LENGTH))

    def _make_lock_file(self, name: str, owner: str, mode: int, data: bytes) -> None:
        path = f"{self.home}/queue/lock/{name}"
        with open(path, "wb") as file:
            file.write(data)
        own(path, owner)
        os.chmod(path, mode)

    def queue_state(self, normal: NormalForm) -> dict[str, Any]:
        """Return messages and envelopes of the queue; their numbers do not matter."""
        us = os.getuid()
        queue = f"{self.home}/queue"
        messages = [normal.bytes(data) for data in _contents(f"{queue}/mess")]
        envelopes = [data.decode("latin-1") for data in _contents(f"{queue}/todo")]
        envelopes = [re.sub(r"\0p\d+\0", "\0p{PID}\0", text) for text in envelopes]
        envelopes = [re.sub(rf"^u{us}\0", "u{UID}\0", text) for text in envelopes]
        return {
            "mess": sorted(
                text.replace(f"invoked by uid {us})", "invoked by uid {UID})") for text in messages
            ),
            "todo": sorted(normal.text(text) for text in envelopes),
            "intd": _count(f"{queue}/intd"),
            "pid": _count(f"{queue}/pid"),
        }

    def remove(self) -> None:
        """Remove all of it, folders that were closed on purpose too."""
        for folder, names, _ in os.walk(self.top):
            for name in names:
                path = f"{folder}/{name}"
                if not os.path.islink(path) and os.stat(path).st_uid == os.getuid():
                    os.chmod(path, 0o700)
        shutil.rmtree(self.top)


def own(path: str, account: str) -> None:
    """Give `path` to an account, if we are root and there is such an account."""
    if os.getuid() == 0 and account and (entry := account_entry(account)):
        os.chown(path, entry.pw_uid, entry.pw_gid)


def account_entry(name: str) -> pwd.struct_passwd | None:
    """Return the account `name`, if there is one."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _contents(folder: str) -> Iterator[bytes]:
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(f"{parent}/{name}", "rb") as file:
                yield file.read()


def _count(folder: str) -> int | None:
    return len(os.listdir(folder)) if os.path.isdir(folder) else None
