"""A whole system home for a test: root's, with accounts of its own that are made and removed.

Every account's name begins with a prefix that no other process of the tests
has, so that nobody waits for anybody.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Self

from tests.support import accounts
from tests.support.launchers import PACKAGE, all_can_reach

from pyqmail.control.roles import FAMILY, GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "mail.example.org"
PATIENCE = 30  # seconds for whatever a test waits for
INTERVAL = 0.02
QMAILCTL = "from pyqmail.programs.qmailctl import main; main()"
PREFIX = f"t{os.getpid()}"


def why_not() -> str | None:
    """Return why no system home can be made here; None if it can."""
    if (reason := accounts.why_not()) is not None:
        return reason
    if not all_can_reach(f"{PACKAGE}/errors.py"):
        return f"other accounts cannot reach {PACKAGE}"
    return None


class SystemHome:
    """Use it as a context: made on entry, with `users`; stopped and removed on exit."""

    def __init__(self, *users: str, made: bool = True) -> None:
        self._users = users
        self._made = made
        self.top = self.path = self.said = ""
        self.port = 0  # of its SMTP server, for who wants one

    def __enter__(self) -> Self:
        self.top = tempfile.mkdtemp(prefix="system.")
        os.chmod(self.top, 0o755)
        self.path = f"{self.top}/qmail"
        try:
            with accounts.changing():
                if self._made:
                    self._make()
                for name in self._users:
                    self._add_user(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self) -> None:
        done = self.setup("--prefix", PREFIX)
        assert done.returncode == 0, done.stderr
        self.said = done.stdout
        self.write("control/smtproutes", ":127.0.0.1:1\n")

    def __exit__(self, *_exception: object) -> None:
        self.kill_all()
        with accounts.changing():
            for name in (*self._users, *FAMILY):
                _quietly("userdel", PREFIX + name)
            for name in GROUPS:
                _quietly("groupdel", PREFIX + name)
        shutil.rmtree(self.top)

    def _add_user(self, name: str) -> None:
        home = self.home_of(name)
        os.makedirs(os.path.dirname(home), mode=0o755, exist_ok=True)
        argv = ["useradd", "--user-group", "--create-home", "--home-dir", home, PREFIX + name]
        subprocess.run([*argv, "--shell", "/bin/sh"], check=True, capture_output=True)
        os.chmod(home, 0o755)

    def home_of(self, name: str) -> str:
        """Return the home of a user."""
        return f"{self.top}/home/{name}"

    def account(self, role: str) -> pwd.struct_passwd:
        """Return the account of a role, or of a user."""
        return pwd.getpwnam(PREFIX + role)

    # Commands.

    def environ(self, **more: str) -> dict[str, str]:
        """Return the environment of a program of this home."""
        path = f"{self.path}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {"PATH": path, "PYTHONPATH": os.path.dirname(PACKAGE), "TZ": "UTC", **more}

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `qmailctl setup --system` of the package itself."""
        argv = ["setup", "--system", "--host", HOST, "--home", self.path, *arguments]
        return self._run([sys.executable, "-c", QMAILCTL, *argv])

    def run(self, *argv: str, text: str = "", user: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program of the home, as root or as a user."""
        return self._run([f"{self.path}/bin/{argv[0]}", *argv[1:]], text, user)

    def as_user(self, user: str, *argv: str) -> None:
        """Run a program of the home as a user, in his home; it must succeed."""
        entry = self.account(user)
        command = ["cd", entry.pw_dir, "&&", f"{self.path}/bin/{argv[0]}", *argv[1:]]
        done = self._run(["sh", "-c", " ".join(command)], user=user)
        assert done.returncode == 0, done.stderr

    def _run(
        self, argv: list[str], text: str = "", user: str = ""
    ) -> subprocess.CompletedProcess[str]:
        entry = self.account(user) if user else None
        return subprocess.run(
            argv,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=self.environ(**({"USER": PREFIX + user} if user else {})),
            cwd="/",
            user=entry.pw_uid if entry else None,
            group=entry.pw_gid if entry else None,
            extra_groups=[] if entry else None,
        )

    def write(self, name: str, text: str) -> None:
        """Write a file of the home as root."""
        with open(f"{self.path}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{self.path}/{name}", 0o644)

    # Processes.

    def processes(self) -> dict[str, list[int]]:
        """Return the processes of this home, by the first word of their titles."""
        uids = {self._uid_of(role) for role in (*FAMILY, *self._users)}
        found: dict[str, list[int]] = {}
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            try:
                title = self._title(f"/proc/{name}", uids)
            except OSError:
                continue  # it has ended
            if title:
                found.setdefault(title.split(" ")[0], []).append(int(name))
        return found

    def _title(self, process: str, uids: set[int]) -> str:
        """Return the title of a process of this home; nothing for others, and for remains."""
        home = os.fsencode(self.path)
        with open(f"{process}/cmdline", "rb") as file:
            title = file.read()
        if os.stat(process).st_uid not in uids and home not in title:
            with open(f"{process}/environ", "rb") as file:
                # A process that has a title has no environment to show any more.
                place = os.fsencode(os.readlink(f"{process}/cwd"))
                if home not in file.read() and not place.startswith(home):
                    return ""
        return title.replace(b"\0", b" ").decode("latin-1").strip()

    def title_of(self, pid: int) -> str:
        """Return what lists of processes show for a process."""
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("latin-1").strip()

    def _uid_of(self, role: str) -> int:
        try:
            return self.account(role).pw_uid
        except KeyError:
            return -1

    def kill_all(self) -> None:
        """End all processes of the home, as nobody should; return when none is left."""

        def none_is_left() -> bool:
            found = [pid for pids in self.processes().values() for pid in pids]
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not found

        self.wait(none_is_left, "what was killed goes on")

    def wait(self, enough: Callable[[], bool], complaint: str) -> None:
        """Return when `enough()` is true."""
        end = time.monotonic() + PATIENCE
        while not enough():
            assert time.monotonic() < end, complaint
            time.sleep(INTERVAL)


def _quietly(*argv: str) -> None:
    subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
