"""Where the files of a message lie below the queue directory; qmail-queue(8).

The number of a message is the inode number of its file in mess/. Paths here
are relative to the queue directory.
"""

from __future__ import annotations

import os

from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from pyqmail.control.roles import Roles

SPLIT: Final = 23  # subdirectories of mess, info, local and remote; qmail's conf-split

SPLIT_DIRECTORIES: Final = ("mess", "info", "local", "remote")

TCPTO_SIZE: Final = 1024  # bytes of lock/tcpto: 64 records of 16
# Behind it, from the first IPv6 host on that does not answer: 64 records of 28.
TCPTO_IPV6_SIZE: Final = 1792

SEND_MUTEX: Final = "lock/sendmutex"  # locked by qmail-send while it runs
TCPTO: Final = "lock/tcpto"
TRIGGER: Final = "lock/trigger"
_CONTENTS: Final = {SEND_MUTEX: b"", TCPTO: bytes(TCPTO_SIZE)}

FILE_MODE: Final = 0o644  # mess, intd and todo: spawn programs and qmail-send read them
PRIVATE_MODE: Final = 0o600  # info, local, remote and bounce: qmail-send's alone

# Ours alone: no qmail looks there.
JOURNAL_ENTRY: Final = ("journal", "qmailq", 0o750)

# Directory, role that owns it, mode. Parents first.
_DIRECTORIES: Final = (
    ("", "qmailq", 0o750),
    ("pid", "qmailq", 0o700),
    ("mess", "qmailq", 0o750),
    ("intd", "qmailq", 0o700),
    ("todo", "qmailq", 0o750),
    ("info", "qmails", 0o700),
    ("local", "qmails", 0o700),
    ("remote", "qmails", 0o700),
    ("bounce", "qmails", 0o700),
    JOURNAL_ENTRY,
    ("lock", "qmailq", 0o750),
)


def queue_directory(home: str) -> str:
    """Return the path of the queue of `home`."""
    return home + "/queue"


def journal_directory(queue: str) -> str:
    """Return where the queue directory `queue` has its journal."""
    return queue + "/journal"


def message_path(number: int) -> str:
    """Return where the message itself lies."""
    return f"mess/{number % SPLIT}/{number}"


def intent_path(number: int) -> str:
    """Return where the envelope is written before the message is accepted."""
    return f"intd/{number}"


def todo_path(number: int) -> str:
    """Return the name whose existence means: this message is accepted."""
    return f"todo/{number}"


def info_path(number: int) -> str:
    """Return where the reverse path of a preprocessed message lies."""
    return f"info/{number % SPLIT}/{number}"


def recipients_path(channel: str, number: int) -> str:
    """Return where the recipients of one channel, "local" or "remote", lie."""
    return f"{channel}/{number % SPLIT}/{number}"


def bounce_path(number: int) -> str:
    """Return where the notes of permanent failures lie."""
    return f"bounce/{number}"


def parse_number(name: str) -> int | None:
    """Return the message number that a directory entry names, or None if it names none."""
    return int(name) if name.isascii() and name.isdigit() else None


def queue_entries() -> Iterator[tuple[str, str, int]]:
    """Yield each directory and file that a queue has, its owner's role and its mode."""
    for name, role, mode in _DIRECTORIES:
        yield name, role, mode
        if name in SPLIT_DIRECTORIES:
            yield from ((f"{name}/{part}", role, mode) for part in range(SPLIT))
    yield SEND_MUTEX, "qmails", PRIVATE_MODE
    yield TCPTO, "qmailr", FILE_MODE
    yield TRIGGER, "qmails", 0o622


def make_queue(home: str, roles: Roles) -> None:
    """Make the empty queue of `home`, owners and modes as qmail has them.

    What exists is left as it is, but its owner and mode are put right.
    """
    queue = queue_directory(home)
    for name, _, mode in queue_entries():
        path = os.path.join(queue, name).rstrip("/")
        if name in _CONTENTS:
            if not os.path.exists(path):
                files.write_new_file(path, _CONTENTS[name], mode)
        elif name == TRIGGER:
            if not os.path.exists(path):
                files.make_fifo(path, mode)
        elif not os.path.isdir(path):
            files.make_directory(path, mode)
    for name, role, mode in queue_entries():
        owner = getattr(roles, role).uid
        files.give(queue, name, owner, roles.qmail_group, mode)
