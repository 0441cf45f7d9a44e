"""As whom the home runs, and where: never as root."""

from __future__ import annotations

import hashlib
import os
import pwd
import subprocess
import sys

from environment import CHECKOUT, prepare

# Where the installed copy and the home go if the account cannot reach the checkout.
REACHABLE_FOLDER = "/var/lib/pyqmail-run"


def choose_account() -> pwd.struct_passwd:
    """Return who runs the home: who starts it, or for root an unprivileged account."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    who_asked = int(os.environ.get("SUDO_UID", "0"))
    return pwd.getpwuid(who_asked) if who_asked else pwd.getpwnam("nobody")


def options_for(account: pwd.struct_passwd) -> dict[str, object]:
    """Return what makes `subprocess` start a program as `account`."""
    if os.getuid() != 0:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def choose_place(account: pwd.struct_passwd) -> tuple[str, str]:
    """Install the package where `account` can use it; return interpreter and home."""
    if not _can(account, "pass"):
        sys.exit(
            f"account {account.pw_name} cannot execute {sys.executable}: install Python for all"
        )
    if _can(account, f"import sys; sys.path[:0] = [{CHECKOUT + '/src'!r}]; import pyqmail.errors"):
        return prepare(f"{CHECKOUT}/.venv"), _make_home(f"{CHECKOUT}/var", account)
    name = hashlib.sha256(CHECKOUT.encode()).hexdigest()[:8]
    folder = f"{REACHABLE_FOLDER}/{name}"
    print(f"· account {account.pw_name} cannot reach {CHECKOUT}: using {folder} instead")
    os.makedirs(folder, exist_ok=True)
    return prepare(f"{folder}/.venv", copied=True), _make_home(f"{folder}/var", account)


def _can(account: pwd.struct_passwd, program: str) -> bool:
    """Ask whether a Python program runs when it runs as `account`."""
    argv = [sys.executable, "-I", "-B", "-c", program]
    options = options_for(account)
    try:
        return not subprocess.run(
            argv, check=False, cwd="/", stderr=subprocess.DEVNULL, **options
        ).returncode
    except PermissionError:
        return False


def _make_home(home: str, account: pwd.struct_passwd) -> str:
    os.makedirs(home, exist_ok=True)
    owner = os.stat(home).st_uid
    if owner != account.pw_uid and not os.listdir(home):
        os.chown(home, account.pw_uid, account.pw_gid)
    elif owner != account.pw_uid:
        sys.exit(f"{home} is another account's (uid {owner}): run as that one, or remove it")
    return home
