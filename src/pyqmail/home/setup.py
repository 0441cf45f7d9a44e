"""Make a private home: everything the original's installation makes, owned by one account.

It can be run again at any time: what is missing is made, programs are linked
anew, and what the administrator wrote stays as it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.home import configuration
from pyqmail.home.boot import write_boot_scripts, write_rc
from pyqmail.home.launchers import write_launchers
from pyqmail.home.ownership import acting_as, become, require_reachable
from pyqmail.queue.layout import make_queue
from pyqmail.system import files
from pyqmail.system.accounts import Account, find_account, find_account_of

if TYPE_CHECKING:
    from collections.abc import Iterable

# Modes of the original; users of `home` are its own, as /home is of a machine.
FOLDERS: Final = {
    "control": 0o755,
    "users": 0o755,
    "bin": 0o755,
    "boot": 0o755,
    "alias": 0o2755,
    "run": 0o755,
    "home": 0o755,
}
_HOME_MODE: Final = 0o755
_FILE_MODE: Final = 0o644

# Who must be reachable on every host; RFC 5321 §4.5.1 for the first. Empty: mail goes
# where the default delivery says, which is alias/Mailbox.
ALIASES: Final = (".qmail-postmaster", ".qmail-mailer-daemon", ".qmail-root")

UNPRIVILEGED: Final = "nobody"  # whom root gives a home to if it says nothing


def setup(home: str, host: bytes, user: str | None, programs: Iterable[str]) -> Account:
    """Make or complete the private home `home` for `host`; return its owner.

    Root gives it to `user`, and makes the folder itself at most: all the
    rest is done as that account.
    """
    require_path(home)
    configuration.require_host(host)
    owner = choose_owner(home, user)
    _make_top(home, owner)
    become(owner, home)
    os.umask(0o022)
    for name, mode in FOLDERS.items():
        _make_folder(os.path.join(home, name), mode)
    write_controls(home, host)
    _write_certificate(home)
    for name in ALIASES:
        make_empty_file(os.path.join(home, "alias", name))
    write_boot_scripts(home)
    write_rc(home)
    make_queue(home, roles_of(home))
    write_launchers(home, programs)
    return owner


def require_path(home: str) -> None:
    """Raise PermanentFailure unless users/assign can hold the path of the home."""
    if any(character in home for character in ":\n\0"):
        raise PermanentFailure(b"the path of a home cannot contain a colon or a newline")


def choose_owner(home: str, user: str | None) -> Account:
    """Return who owns `home` or shall own it; raise PermanentFailure if that cannot be."""
    present = _owner_of_contents(home)
    if present is not None and present.uid == 0:
        raise PermanentFailure(
            os.fsencode(f"{home} belongs to root and is not empty: choose another folder")
        )
    if user is not None:
        wanted = find_account(user)
        if wanted is None:
            raise PermanentFailure(os.fsencode(f"there is no account {user}"))
        if present is not None and present.uid != wanted.uid:
            raise PermanentFailure(os.fsencode(f"{home} belongs to {present.name}, not to {user}"))
    elif present is not None:
        wanted = present
    elif os.getuid() != 0:
        wanted = _myself(home)
    else:
        wanted = find_account(UNPRIVILEGED)
    if wanted is None or wanted.uid == 0:
        raise PermanentFailure(b"nothing is delivered as root: name another account with --user")
    return wanted


def _owner_of_contents(home: str) -> Account | None:
    """Return who owns the folder, unless it is absent or root's and still empty."""
    if not os.path.isdir(home):
        return None
    owner = roles_of(home).owner
    return None if owner.uid == 0 and not os.listdir(home) else owner


def _myself(home: str) -> Account:
    uid = os.getuid()
    return find_account_of(uid) or Account(str(uid), uid, os.getgid(), home)


def _make_top(home: str, owner: Account) -> None:
    """Make the folder itself, unless its owner could not use it: then nothing is left of it."""
    made = not os.path.isdir(home)
    if made:
        files.make_directory(home, _HOME_MODE)
        files.sync_directory(os.path.dirname(home))
    if os.getuid() == 0:
        _give_away(home, owner)
    try:
        with acting_as(owner):
            require_reachable(home, owner)
    except TransientFailure:
        if made:
            files.remove_directory(home)
        raise


def _give_away(home: str, owner: Account) -> None:
    # Through a descriptor, and not through a link: somebody else may own the folder above.
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == 0:
            files.change_owner(descriptor, owner.uid, owner.gid)
    finally:
        os.close(descriptor)


def _make_folder(path: str, mode: int) -> None:
    if not os.path.isdir(path):
        files.make_directory(path, mode)


def make_empty_file(path: str) -> None:
    """Make an empty file, if there is nothing of this name."""
    if not os.path.lexists(path):
        files.write_new_file(path, b"", _FILE_MODE)


def _write_certificate(home: str) -> None:
    """Make control/servercert.pem, so that TLS works at once."""
    # What makes it takes a tenth of a second to import.
    from pyqmail.home.certificate import write_certificate  # noqa: PLC0415

    write_certificate(home)


def write_controls(home: str, host: bytes) -> None:
    """Write what config-fast writes, each file only if it is absent."""
    if not configuration.is_set(home, "me"):
        configuration.write_line(home, "me", host)
    if not configuration.is_set(home, "defaultdomain"):
        configuration.write_line(home, "defaultdomain", configuration.default_domain(host))
    if not configuration.is_set(home, "plusdomain"):
        configuration.write_line(home, "plusdomain", configuration.plus_domain(host))
    for name in ("locals", "rcpthosts"):
        if not configuration.is_set(home, name):
            configuration.write_list(home, name, [host])
