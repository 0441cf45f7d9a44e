"""Make a system home: accounts, folders, control files, programs, and how to start it.

It can be run again at any time, also over the home of an original qmail: what
is missing is made, owners and modes are put right, and what the administrator
wrote stays as it is, and so does all mail.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.control.launchers import LAUNCHER
from pyqmail.control.roles import ACCOUNT_PREFIX, FAMILY, Roles, roles_of
from pyqmail.errors import PermanentFailure
from pyqmail.home import configuration, family, hierarchy
from pyqmail.home.boot import write_boot_scripts
from pyqmail.home.launchers import write_launchers
from pyqmail.home.manual import copy_manual
from pyqmail.home.ownership import acting_as, require_programs, require_way
from pyqmail.home.service_files import write_service_files
from pyqmail.home.setup import ALIASES, make_empty_file, require_path, write_controls
from pyqmail.queue.layout import make_queue
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Sequence

# One of these is in every home of qmail, and in nothing that is not one.
_SIGNS_OF_A_HOME: Final = ("control/me", "queue/mess", f"bin/{LAUNCHER}")


def setup_system(
    home: str, host: bytes, programs: Sequence[str], prefix: str | None = None
) -> list[str]:
    """Make or complete the system home `home` for `host`; return what was made, for people.

    `prefix` begins the names of its accounts; None is what the home has already.
    """
    _require_root()
    require_path(home)
    configuration.require_host(host)
    os.umask(0o022)
    _make_top(home)
    prefix = _settle_prefix(home, prefix)
    made = family.make_missing(home, prefix)
    roles = roles_of(home)
    _require_reach_for_all(home, roles)

    hierarchy.make_folders(home)
    write_controls(home, host)
    for name in ALIASES:
        make_empty_file(os.path.join(home, "alias", name))
    write_boot_scripts(home)
    write_launchers(home, programs)
    write_service_files(home, prefix)
    make_queue(home, roles)
    copy_manual(home)
    for place in hierarchy.places(home):
        hierarchy.put_right(home, roles, place)
    return [*(f"made account or group {name}" for name in made), *_foreign_programs(home, programs)]


def _require_root() -> None:
    if os.getuid() != 0:
        raise PermanentFailure(
            b"a system home has accounts of its own: run this as root, "
            b"or without --system for a private home"
        )


def _make_top(home: str) -> None:
    """Make the folder, unless it is a home of qmail or root's empty one already."""
    if not os.path.isdir(home):
        files.make_directory(home, hierarchy.FOLDER_MODE)
        files.sync_directory(os.path.dirname(home))
        return
    owner = roles_of(home).owner
    if owner.uid != 0:
        raise PermanentFailure(
            os.fsencode(f"{home} belongs to {owner.name}: a system home is root's")
        )
    is_home = any(os.path.lexists(os.path.join(home, sign)) for sign in _SIGNS_OF_A_HOME)
    if os.listdir(home) and not is_home:
        raise PermanentFailure(
            os.fsencode(f"{home} is not empty, and no home of qmail: choose another folder")
        )


def _settle_prefix(home: str, prefix: str | None) -> str:
    """Return what the names of the accounts begin with, and write it down if it is new."""
    if not os.path.isdir(os.path.join(home, "control")):
        files.make_directory(os.path.join(home, "control"), hierarchy.FOLDER_MODE)
    present = roles_of(home).prefix
    if prefix is None or prefix == present:
        family.require_prefix(present)
        return present
    if os.path.lexists(os.path.join(home, "queue")):
        raise PermanentFailure(
            os.fsencode(f"the queue belongs to accounts called {present or 'as usual'}…: ")
            + b"a home keeps the accounts it began with"
        )
    family.require_prefix(prefix)
    configuration.write_line(home, ACCOUNT_PREFIX, os.fsencode(prefix))
    return prefix


def _require_reach_for_all(home: str, roles: Roles) -> None:
    """Raise TransientFailure unless every account can come here and start our programs."""
    for name in FAMILY:
        account = roles.role(name)
        with acting_as(account):
            require_way(home, account)
            require_programs(account)


def _foreign_programs(home: str, programs: Sequence[str]) -> list[str]:
    """Say which programs are another qmail's, and stay."""
    folder = os.path.join(home, "bin")
    foreign = [name for name in programs if not _is_link(os.path.join(folder, name))]
    if not foreign:
        return []
    text = f"not ours in {folder}, and left as they are: {' '.join(foreign)}; "
    return [text + "to have ours, move them away and run this again"]


def _is_link(path: str) -> bool:
    return os.path.islink(path) and os.readlink(path) == LAUNCHER
