"""The accounts and groups of a system home, made where they are missing.

What is there keeps its numbers, its home and its shell: only its absence is
mended. The machine's own tools change its databases, nothing here does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from pyqmail.control.roles import FAMILY, GROUPS
from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.system.accounts import find_account, find_group

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHELLS: Final = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false")
# Root's own, whatever the variable PATH says: what is found here runs as root.
_SEARCH_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
_MAX_NAME: Final = 31  # bytes of an account's name; useradd(8)
_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


def require_prefix(prefix: str) -> None:
    """Raise PermanentFailure unless names of accounts may begin with `prefix`."""
    longest = max(len(name) for name in (*FAMILY, *GROUPS))
    if not prefix:
        return
    if not set(prefix) <= _LETTERS or not prefix[0].isalpha() or len(prefix) + longest > _MAX_NAME:
        raise PermanentFailure(
            os.fsencode(f"no account can be called {prefix}qmaild: a prefix has small letters, ")
            + b"digits, - and _, begins with a letter, and is short"
        )


def make_missing(home: str, prefix: str) -> list[str]:
    """Make the groups and accounts that are not there; return their names.

    Raises TransientFailure with the commands to type where this machine has
    none that we know.
    """
    commands = dict(missing(home, prefix))
    if commands and shutil.which("useradd", path=_SEARCH_PATH) is None:
        text = "; ".join(" ".join(command) for command in commands.values())
        raise TransientFailure(
            os.fsencode(
                f"this machine has no useradd: make the accounts as its manual says: {text}"
            )
        )
    for command in commands.values():
        _run(command)
    return list(commands)


def missing(home: str, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each group and account that is not there, and the command that makes it."""
    for group in GROUPS:
        if find_group(prefix + group) is None:
            yield prefix + group, ["groupadd", "--system", prefix + group]
    for name, group in FAMILY.items():
        if find_account(prefix + name) is None:
            yield prefix + name, _useradd(prefix + name, prefix + group, _home_of(home, name))


def strangers(prefix: str) -> Iterator[tuple[str, str]]:
    """Yield each account whose group is not that of the original, and the group it should have."""
    for name, group in FAMILY.items():
        account, gid = find_account(prefix + name), find_group(prefix + group)
        if account is not None and gid is not None and account.gid != gid:
            yield prefix + name, prefix + group


def _home_of(home: str, name: str) -> str:
    return f"{home}/alias" if name == "alias" else home


def _useradd(name: str, group: str, folder: str) -> list[str]:
    shell = next((path for path in _SHELLS if os.path.exists(path)), _SHELLS[-1])
    options = ["--system", "--gid", group, "--home-dir", folder, "--no-create-home"]
    return ["useradd", *options, "--shell", shell, name]


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": _SEARCH_PATH},
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        said = done.stderr.strip().replace("\n", "; ")
        raise TransientFailure(os.fsencode(f"{' '.join(command)} failed: {said}"))
