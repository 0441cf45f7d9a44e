"""Take a home's programs away, and leave its configuration, users, mail and queue.

What somebody has changed stays: only what is still as setup wrote it is removed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.control.launchers import LAUNCHER
from pyqmail.control.roles import FAMILY, GROUPS, roles_of
from pyqmail.errors import PermanentFailure
from pyqmail.home import boot, sendmail_links, service_files
from pyqmail.home.hierarchy import SECTIONS
from pyqmail.home.operation import services_of
from pyqmail.system import files
from pyqmail.system.accounts import find_account, find_group

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUN: Final = ("queue.sock", "queue.lock", "qmailctl.lock", "guesses")
# Removed if nothing is left in them.
_FOLDERS: Final = (
    "bin",
    "boot",
    "doc",
    *(f"man/{kind}{number}" for kind in ("man", "cat") for number in SECTIONS),
    "man",
    "run",
)


def remove_programs(home: str) -> list[str]:
    """Remove what setup made, but no mail and nothing that people wrote; say what stays.

    Raises PermanentFailure while the home runs.
    """
    for service in services_of(home):
        if service.process() is not None:
            raise PermanentFailure(f"{service.name} runs: qmailctl stop".encode())
    lines = [] if roles_of(home).private else sendmail_links.restore(home)
    for name in _removable(home):
        files.discard(os.path.join(home, name))
    for name in (*reversed(list(service_files.folders())), *_FOLDERS):
        _remove_if_empty(os.path.join(home, name))
    kept = ", ".join(sorted(os.listdir(home)))
    return [*lines, f"{home} keeps {kept}.", *_commands_for_accounts(home)]


def _removable(home: str) -> Iterator[str]:
    """Yield the files that are still as they were written."""
    for name in sorted(_listing(home, "bin")):
        path = os.path.join(home, "bin", name)
        if name == LAUNCHER or (os.path.islink(path) and os.readlink(path) == LAUNCHER):
            yield f"bin/{name}"
    texts = {**boot.scripts(home), **service_files.texts(home, roles_of(home).prefix)}
    for name, text in texts.items():
        if _contents(os.path.join(home, name)) == text:
            yield name
    for folder in ("doc", *(f"man/man{number}" for number in SECTIONS)):
        yield from (f"{folder}/{name}" for name in _listing(home, folder))
    yield from (f"run/{name}" for name in _RUN)
    yield f"{service_files.RULES}.cdb"
    yield from (f"{name}/pid" for name in service_files.folders())


def _commands_for_accounts(home: str) -> Iterator[str]:
    """Yield what to type when the queue is not needed any more: it belongs to the accounts."""
    roles = roles_of(home)
    if roles.private:
        return
    names = [roles.prefix + name for name in FAMILY]
    groups = [roles.prefix + name for name in GROUPS]
    commands = [f"userdel {name}" for name in names if find_account(name)]
    commands += [f"groupdel {name}" for name in groups if find_group(name) is not None]
    yield "Its accounts own the queue, and stay; when that is empty: " + "; ".join(commands)


def _listing(home: str, folder: str) -> list[str]:
    try:
        return os.listdir(os.path.join(home, folder))
    except FileNotFoundError:
        return []


def _contents(path: str) -> bytes | None:
    try:
        return files.read_all(path)
    except OSError:
        return None


def _remove_if_empty(path: str) -> None:
    if os.path.isdir(path) and not os.listdir(path):
        files.remove_directory(path)
