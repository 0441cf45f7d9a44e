"""What only a system home can have wrong: accounts, owners, modes, and whose code root runs.

The original's `setup check` and more. What is here looks, and hands back what
would mend it; it changes nothing by itself.
"""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import TYPE_CHECKING, Final

from pyqmail.control import smtproutes_auth
from pyqmail.control.roles import FAMILY
from pyqmail.errors import TransientFailure
from pyqmail.home import family, hierarchy
from pyqmail.home.findings import ERROR, NOTE, WARNING, Finding
from pyqmail.home.launchers import interpreter_of, library_folders
from pyqmail.home.ownership import acting_as
from pyqmail.queue import layout
from pyqmail.system import files
from pyqmail.system.accounts import find_account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.control.roles import Roles

# Who reads control files; qmail-send, qmail-smtpd and qmail-remote.
_READERS: Final = ("qmails", "qmaild", "qmailr")
# Those that hold a secret, and whose it is. Others are for everybody.
_SECRETS: Final = {
    "clientcert.pem": ("qmailr",),
    "servercert.pem": ("qmaild",),
    smtproutes_auth.NAME: ("qmailr",),
}
_SECRET_MODE: Final = 0o640
_OWN_MODE: Final = 0o600
_WRITABLE_BY_OTHERS: Final = 0o022

# Whose the messages and envelopes in each folder of the queue are.
_OWNERS_OF_FILES: Final = {
    **dict.fromkeys(("pid", "mess", "intd", "todo"), ("qmailq", layout.FILE_MODE)),
    **dict.fromkeys(("info", "local", "remote", "bounce"), ("qmails", layout.PRIVATE_MODE)),
}
_NO_PLACE: Final = "cannot be looked at: run this as root"


def check_accounts(home: str, roles: Roles) -> Iterator[Finding]:
    """Look whether the accounts are there, and whether each is somebody of his own."""
    for name, _ in family.missing(home, roles.prefix):
        text = "is missing from the accounts and groups of this machine"
        yield Finding(ERROR, name, text, partial(_make_accounts, home, roles.prefix))
    for name, group in family.strangers(roles.prefix):
        yield Finding(ERROR, name, f"is not in the group {group}: usermod -g {group} {name}")
    owners: dict[int, str] = {0: "root"}
    for role in FAMILY:
        account = find_account(roles.prefix + role)
        if account is None:
            continue
        if account.uid in owners:
            text = f"is the same user as {owners[account.uid]}: give it a number of its own"
            yield Finding(ERROR, account.name, text)
        owners[account.uid] = account.name
        if role == "alias" and os.path.realpath(account.home) != f"{home}/alias":
            text = f"has the home {account.home}: .qmail-postmaster and others are looked for there"
            yield Finding(WARNING, account.name, text)


def _make_accounts(home: str, prefix: str) -> None:
    family.make_missing(home, prefix)


def check_hierarchy(home: str, roles: Roles) -> Iterator[Finding]:
    """Compare every owner, group, mode and kind with the original's."""
    for place in hierarchy.places(home):
        shown = place.name or home
        try:
            for text in hierarchy.wrong_with(home, roles, place):
                yield Finding(ERROR, shown, text, _repair_of(home, roles, place, text))
        except PermissionError:
            yield Finding(WARNING, shown, _NO_PLACE)
            return


def _repair_of(home: str, roles: Roles, place: hierarchy.Place, text: str) -> partial[None] | None:
    if "wrong type" in text:
        return None  # what it is, and whose, only a person can tell
    if "does not exist" in text:
        return partial(_make, home, roles, place)
    return partial(hierarchy.put_right, home, roles, place)


def _make(home: str, roles: Roles, place: hierarchy.Place) -> None:
    if place.name.split("/")[0] == "queue":
        layout.make_queue(home, roles)
    else:
        hierarchy.make_folders(home)
        hierarchy.put_right(home, roles, place)


def check_queue_files(home: str, roles: Roles) -> Iterator[Finding]:
    """Look whether messages and envelopes belong to who works with them.

    A queue that comes from another machine, where the accounts had other numbers, would
    lie still.
    """
    queue = layout.queue_directory(home)
    for folder, (role, mode) in _OWNERS_OF_FILES.items():
        owner = roles.role(role)
        found = _files_below(queue, folder)
        wrong = [name for name, status in found if status.st_uid != owner.uid]
        if wrong:
            text = f"has {len(wrong)} files that are not {owner.name}'s, such as {wrong[0]}"
            repair = partial(_give_all, queue, wrong, owner.uid, roles.qmail_group, mode)
            yield Finding(ERROR, f"queue/{folder}", text, repair)


def _files_below(queue: str, folder: str) -> Iterator[tuple[str, os.stat_result]]:
    for place, _, names in os.walk(os.path.join(queue, folder)):
        for name in sorted(names):
            path = os.path.join(place, name)
            try:
                yield os.path.relpath(path, queue), os.lstat(path)
            except FileNotFoundError:
                continue  # it has been delivered meanwhile


def _give_all(queue: str, names: list[str], uid: int, gid: int, mode: int) -> None:
    for name in names:
        try:
            files.give(queue, name, uid, gid, mode, names=_names_of(queue, name))
        except FileNotFoundError:
            continue  # likewise


def _names_of(queue: str, name: str) -> int:
    """Return how many names a file of the queue has there: an envelope is in intd and todo."""
    folder, _, number = name.partition("/")
    if folder not in {"intd", "todo"}:
        return 1
    paths = (os.path.join(queue, place, number) for place in ("intd", "todo"))
    return max(1, sum(_is_same(path, os.path.join(queue, name)) for path in paths))


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.lstat(other))
    except FileNotFoundError:
        return False


def check_readable(home: str, roles: Roles) -> Iterator[Finding]:
    """Look whether the processes that need control files can read them. Only root can tell."""
    if os.geteuid() != 0:
        return
    folder = os.path.join(home, "control")
    for name in sorted(os.listdir(folder)):
        if not os.path.isfile(os.path.join(folder, name)):
            continue
        for role in _SECRETS.get(name, _READERS):
            account = roles.role(role)
            with acting_as(account):
                readable = os.access(os.path.join(folder, name), os.R_OK, effective_ids=True)
            if not readable:
                text = f"cannot be read by {account.name}"
                repair = partial(_open_to_readers, home, roles, name)
                yield Finding(ERROR, f"control/{name}", text, repair)
                break


def _open_to_readers(home: str, roles: Roles, name: str) -> None:
    if "qmailr" in _SECRETS.get(name, ()):
        # Its group is that of qmailq and qmails, too.
        files.give(home, f"control/{name}", roles.qmailr.uid, roles.qmailr.gid, _OWN_MODE)
    elif name in _SECRETS:
        files.give(home, f"control/{name}", 0, roles.nofiles_group, _SECRET_MODE)
    else:
        files.give(home, f"control/{name}", 0, 0, hierarchy.TEXT_MODE)


def check_programs_for_all(home: str, roles: Roles) -> Iterator[Finding]:
    """Look whether every account can start our programs, and nobody but root can change them."""
    launcher = os.path.join(home, "bin/pyqmail")
    try:
        paths = [interpreter_of(launcher), *library_folders()]
    except OSError:
        return  # somebody else says that the launcher is missing
    for path in paths:
        if os.geteuid() == 0:
            yield from _check_reach(path, roles)
        yield from _check_who_can_change(path)
    yield from _check_who_can_change(os.path.join(home, "bin"))


def _check_reach(path: str, roles: Roles) -> Iterator[Finding]:
    wanted = os.X_OK | (os.R_OK if os.path.isdir(path) else 0)
    closed = []
    for role in FAMILY:
        account = roles.role(role)
        with acting_as(account):
            if not os.access(path, wanted, effective_ids=True):
                closed.append(account.name)
    if closed:
        text = f"is closed to {', '.join(closed)}: install pyqmail where everybody can use it"
        yield Finding(ERROR, path, text)


def _check_who_can_change(path: str) -> Iterator[Finding]:
    """Whoever can put another file there can become root when root starts the next program."""
    while True:
        status = os.stat(path)
        others_write = status.st_mode & _WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX
        if status.st_uid != 0 or others_write:
            who = "everybody" if status.st_mode & stat.S_IWOTH else "somebody else than root"
            yield Finding(WARNING, path, f"can be changed by {who}, and root runs what is there")
            return
        if path == "/":
            return
        path = os.path.dirname(path)


def check_manual(home: str) -> Iterator[Finding]:
    """Say that there are no man pages, if the package came without them."""
    folder = os.path.join(home, "man/man8")
    if os.path.isdir(folder) and not os.listdir(folder):
        yield Finding(NOTE, "man", "has no pages: build them before setup (sphinx-build -b man)")


def check_system(home: str, roles: Roles) -> Iterator[Finding]:
    """Yield all that is wrong with what a system home is made of."""
    yield from check_accounts(home, roles)
    try:
        yield from check_hierarchy(home, roles)
        yield from check_readable(home, roles)
        yield from check_programs_for_all(home, roles)
        yield from check_manual(home)
        if os.access(layout.queue_directory(home), os.R_OK | os.X_OK):
            yield from check_queue_files(home, roles)
    except TransientFailure:
        # An account is missing, which was said already: the rest cannot be judged.
        return
