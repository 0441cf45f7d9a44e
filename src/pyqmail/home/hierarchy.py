"""Owner, group, mode and kind of everything in a system home, as the original installs it.

One table, which setup obeys and `qmailctl check` compares. Where ours differs
on purpose: programs are links to one launcher, so that they have no modes of
their own, nothing is set-uid, and `run` has the socket of qmail-queued.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.launchers import LAUNCHER
from pyqmail.home import service_files
from pyqmail.queue import layout
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.control.roles import Roles

FOLDER: Final = "folder"
FILE: Final = "file"
LINK: Final = "link"
FIFO: Final = "FIFO"
_KINDS: Final = {stat.S_IFDIR: FOLDER, stat.S_IFREG: FILE, stat.S_IFLNK: LINK, stat.S_IFIFO: FIFO}

FOLDER_MODE: Final = 0o755
ALIAS_MODE: Final = 0o2755  # new files of ~alias belong to the group qmail
PROGRAM_MODE: Final = 0o755
TEXT_MODE: Final = 0o644

SECTIONS: Final = ("1", "5", "7", "8")  # of the manual

_ROOT_FOLDERS: Final = ("", "control", "users", "bin", "boot", "doc", "man")
_MANUAL: Final = tuple(f"man/{kind}{number}" for kind in ("man", "cat") for number in SECTIONS)

# Folders of whose contents every file has the same owner and mode.
_CONTENTS: Final = {
    "boot": PROGRAM_MODE,
    "doc": TEXT_MODE,
    **dict.fromkeys(_MANUAL, TEXT_MODE),
}


@dataclass(frozen=True, slots=True)
class Place:
    """One file or folder, by its path below the home; `role` stands in `Roles`."""

    name: str
    kind: str
    role: str
    mode: int


def folders() -> Iterator[Place]:
    """Yield the folders of a system home but the queue's, parents first."""
    for name in (*_ROOT_FOLDERS, *_MANUAL):
        yield Place(name, FOLDER, "root", FOLDER_MODE)
    yield Place("alias", FOLDER, "alias", ALIAS_MODE)
    yield Place("run", FOLDER, "qmailq", FOLDER_MODE)
    for name in service_files.folders():
        role = "qmaill" if name in service_files.LOG_FOLDERS else "root"
        yield Place(name, FOLDER, role, FOLDER_MODE)


def queue_places() -> Iterator[Place]:
    """Yield what the queue is made of."""
    for name, role, mode in layout.queue_entries():
        if name == layout.TRIGGER:
            kind = FIFO
        else:
            kind = FILE if name in (layout.SEND_MUTEX, layout.TCPTO) else FOLDER
        yield Place(os.path.join("queue", name).rstrip("/"), kind, role, mode)


def contents(home: str) -> Iterator[Place]:
    """Yield what lies in the folders of root and has an owner and a mode that we know."""
    for folder, mode in _CONTENTS.items():
        for name in _listing(os.path.join(home, folder)):
            if _kind_of(os.path.join(home, folder, name)) == FILE:
                yield Place(f"{folder}/{name}", FILE, "root", mode)
    if os.path.lexists(os.path.join(home, "bin", LAUNCHER)):
        yield Place(f"bin/{LAUNCHER}", FILE, "root", PROGRAM_MODE)


def places(home: str) -> Iterator[Place]:
    """Yield all places of a system home."""
    yield from folders()
    yield from queue_places()
    yield from contents(home)


def make_folders(home: str) -> None:
    """Make the folders that are missing; their owners come with `put_right()`."""
    for place in folders():
        path = os.path.join(home, place.name).rstrip("/")
        if not os.path.isdir(path):
            files.make_directory(path, place.mode)


def put_right(home: str, roles: Roles, place: Place) -> None:
    """Give one place the owner, group and mode that it should have. Raises OSError."""
    owner = roles.role(place.role).uid
    files.give(home, place.name, owner, roles.qmail_group, place.mode)


def wrong_with(home: str, roles: Roles, place: Place) -> Iterator[str]:
    """Yield what is wrong with one place: its existence, kind, owner, group or mode.

    Raises PermissionError where we may not look.
    """
    try:
        status = os.lstat(os.path.join(home, place.name))
    except (FileNotFoundError, NotADirectoryError):
        yield "does not exist"
        return
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
    if kind != place.kind:
        yield f"has the wrong type: it is a {kind}, and should be a {place.kind}"
        return
    owner, mode = roles.role(place.role), stat.S_IMODE(status.st_mode)
    if status.st_uid != owner.uid:
        yield f"has the wrong owner: uid {status.st_uid}, and not {owner.name} ({owner.uid})"
    if status.st_gid != roles.qmail_group:
        group = f"{roles.prefix}qmail ({roles.qmail_group})"
        yield f"has the wrong group: gid {status.st_gid}, and not {group}"
    if mode != place.mode:
        yield f"has the wrong mode: {mode:04o}, and not {place.mode:04o}"


def _listing(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:  # who looks at the folder itself says so
        return []


def _kind_of(path: str) -> str:
    return _KINDS.get(stat.S_IFMT(os.lstat(path).st_mode), "")
