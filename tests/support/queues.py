"""Empty queues for tests, owned by whoever runs them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pyqmail.control.roles import Roles
from pyqmail.queue import layout
from pyqmail.queue.cleanup import LocalCleaner
from pyqmail.queue.envelope_file import EnvelopeParser, encode_envelope
from pyqmail.queue.file_store import FileStore
from pyqmail.queue.intake import FileIntake
from pyqmail.system import files
from pyqmail.system.accounts import Account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyqmail.queue.intake import SyncAll
    from pyqmail.queue.store import Draft, Intake

UID = 666
PID = 20345


def private_roles(home: str) -> Roles:
    """Return roles that are all the user who runs the tests, root too."""
    roles = Roles(home, Account("tester", os.getuid(), os.getgid(), home))
    roles.private = True
    return roles


def make_home(home: str) -> str:
    """Make a home with an empty queue, and return it."""
    os.makedirs(home, exist_ok=True)
    layout.make_queue(home, private_roles(home))
    return home


def file_intake(home: str, sync_all: SyncAll = files.sync_all) -> FileIntake:
    return FileIntake(home, private_roles(home), sync_all)


def file_store(home: str) -> FileStore:
    return FileStore(home, LocalCleaner(home))


def draft(
    intake: Intake,
    body: bytes = b"Subject: x\n\nhello\n",
    reverse_path: bytes = b"sue@example.net",
    forward_paths: Sequence[bytes] = (b"joe@example.org",),
    additions: Sequence[bytes] = (),
) -> Draft:
    """Write a message, and leave it unaccepted."""
    draft = intake.begin(UID, PID)
    draft.write(body)
    envelope = encode_envelope(reverse_path, forward_paths, additions)
    draft.write_envelope(EnvelopeParser().feed(envelope))
    return draft


def files_in(home: str, *directories: str) -> dict[str, bytes]:
    """Return name and contents of all files below the directories of the queue."""
    queue = layout.queue_directory(home)
    found = {}
    for directory in directories or ("pid", "mess", "intd", "todo"):
        for folder, _, names in os.walk(f"{queue}/{directory}"):
            for name in names:
                path = os.path.join(folder, name)
                with suppress(FileNotFoundError), open(path, "rb") as file:  # it may have just gone
                    found[os.path.relpath(path, queue)] = file.read()
    return found
