"""The family's accounts and four users, made for a run and removed after it.

Several test processes may need them at once. Each holds a shared lock while it
does; who leaves last removes what the tests made. Accounts that were there
before are left as they are.
"""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FAMILY = {
    "alias": "nofiles",
    "qmaild": "nofiles",
    "qmaill": "nofiles",
    "qmailp": "nofiles",
    "qmailq": "qmail",
    "qmailr": "qmail",
    "qmails": "qmail",
}
GROUPS = ("qmail", "nofiles")
USERS = ("mv1", "mv2", "mv3", "mv4")

# Their homes, and the list of what the tests made: below a folder of root's,
# where nobody else can put anything.
FOLDER = "/var/lib/pyqmail-test"


def why_not() -> str | None:
    """Return why accounts cannot be made here; None if they can."""
    if os.getuid() != 0:
        return "needs root, to make accounts for the run"
    if shutil.which("useradd") is None:
        return "needs useradd, to make accounts for the run"
    return None


@contextmanager
def accounts() -> Iterator[None]:
    """Have all accounts while this lasts; the caller has asked `why_not()`."""
    os.makedirs(FOLDER, exist_ok=True)
    os.chmod(FOLDER, 0o755)
    in_use = os.open(f"{FOLDER}/in-use", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with changing():
            _make_missing()
            fcntl.flock(in_use, fcntl.LOCK_SH)
        yield
    finally:
        with changing():
            _leave(in_use)
        os.close(in_use)


def are_ours() -> bool:
    """Ask whether the tests made the accounts, so that their homes may be emptied."""
    return set(_made()) >= {"alias", *USERS}


def home_of(name: str) -> str:
    """Return the home of an account."""
    return pwd.getpwnam(name).pw_dir


def empty_home(name: str) -> str:
    """Give an account of ours an empty home, and return it."""
    assert name in _made(), "only what the tests made may be emptied"
    home, entry = home_of(name), pwd.getpwnam(name)
    shutil.rmtree(home, ignore_errors=True)
    os.mkdir(home)
    os.chown(home, entry.pw_uid, entry.pw_gid)
    os.chmod(home, 0o755)
    return home


@contextmanager
def homes_of_our_own() -> Iterator[None]:
    """Keep all other test processes out of the users' homes while this lasts."""
    with locked("homes"):
        yield


@contextmanager
def changing() -> Iterator[None]:
    """Let one process at a time make or remove accounts."""
    with locked("changing"):
        yield


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Keep all other test processes away from what `name` stands for while this lasts."""
    os.makedirs(FOLDER, exist_ok=True)
    lock = os.open(f"{FOLDER}/{name}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _leave(in_use: int) -> None:
    try:
        fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # somebody else still needs them
    for name in _made():
        remove = "groupdel" if name in GROUPS else "userdel"
        subprocess.run([remove, name], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(f"{FOLDER}/{name}", ignore_errors=True)
    os.unlink(_list())


def _make_missing() -> None:
    made = _made()
    for name in GROUPS:
        if not _exists(grp.getgrnam, name):
            _run("groupadd", "--system", name)
            made.append(name)
    for name in (*FAMILY, *USERS):
        if not _exists(pwd.getpwnam, name):
            group = ["--gid", FAMILY[name], "--system"] if name in FAMILY else ["--user-group"]
            shell = "/usr/sbin/nologin" if name in FAMILY else "/bin/sh"
            home = ["--home-dir", f"{FOLDER}/{name}", "--no-create-home"]
            _run("useradd", *group, *home, "--shell", shell, name)
            # Users before groups: a group with members cannot be removed.
            made.insert(0, name)
    with open(_list(), "w", encoding="ascii") as file:
        file.write(" ".join(made))
    for name in made:
        if name not in GROUPS and not os.path.isdir(f"{FOLDER}/{name}"):
            empty_home(name)


def _made() -> list[str]:
    try:
        with open(_list(), encoding="ascii") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def _list() -> str:
    return f"{FOLDER}/made"


def _exists(find: object, name: str) -> bool:
    try:
        find(name)
    except KeyError:
        return False
    return True


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
