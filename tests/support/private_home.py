"""A whole private home for a test: made, given users, run, watched, and taken away.

It runs as an ordinary user. Root becomes `nobody` for it, as `./run` does.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Self

from tests.support.launchers import PACKAGE, all_can_reach

from pyqmail.home.services import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOST = "mail.example.org"
PATIENCE = 20  # seconds for whatever a test waits for; most takes a few milliseconds
INTERVAL = 0.02  # seconds between two looks

# Mail for other hosts waits: no test asks the DNS of the world, and nobody listens at port 1.
NOWHERE = ":127.0.0.1:1\n"
# Homes of many tests run at the same time, and not all tests want services.
NO_SERVICES = tuple(
    f"--listen={name}=off" for name in ("smtp", "submission", "smtps", "pop3", "pop3s")
)

QMAILCTL = "from pyqmail.programs.qmailctl import main; main()"


def listening(*names: str) -> tuple[str, ...]:
    """Return the options by which these services are at any free ports, and no others are."""
    anywhere = dict.fromkeys(names, "127.0.0.1:0")
    return tuple(f"--listen={name}={anywhere.get(name, 'off')}" for name in SERVICES)


def why_not() -> str | None:
    """Return why no private home can run here; None if it can."""
    if os.getuid() == 0 and not all_can_reach(f"{PACKAGE}/errors.py"):
        return f"the account nobody cannot reach {PACKAGE}"
    return None


class PrivateHome:
    """Use it as a context: made and given `users` on entry, stopped and removed on exit."""

    def __init__(self, *users: str, folder: str | None = None) -> None:
        self.account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self._folder = folder
        self._users = users
        self._server: subprocess.Popen[bytes] | None = None
        self.top = self.path = ""

    def __enter__(self) -> Self:
        self.top = tempfile.mkdtemp(prefix="home.")
        try:
            self._make()
        except BaseException:
            shutil.rmtree(self.top)
            raise
        return self

    def _make(self) -> None:
        os.chmod(self.top, 0o755)
        self.path = self._folder or f"{self.top}/home"
        os.makedirs(self.path, exist_ok=True)
        if os.getuid() == 0:
            os.chown(self.path, self.account.pw_uid, self.account.pw_gid)
        self.qmailctl("setup", "--home", self.path, "--host", HOST)
        self.write("control/smtproutes", NOWHERE)
        for name in self._users:
            self.qmailctl("user", "add", name, "--home", self.path)

    def __exit__(self, *_exception: object) -> None:
        if self._server is not None and self._server.poll() is None:
            self._server.terminate()
            try:
                self._server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        shutil.rmtree(self.top)

    # Commands.

    def options(self, **environ: str) -> dict[str, Any]:
        """Return what makes `subprocess` run something as the home's owner."""
        env = {
            "PATH": f"{self.path}/bin:{os.defpath}",
            "PYTHONPATH": os.path.dirname(PACKAGE),
            "QMAILHOME": self.path,
            "TZ": "UTC",
            "USER": "aku",
            **environ,
        }
        options: dict[str, Any] = {"env": env, "cwd": "/"}
        if os.getuid() == 0:
            options |= {"user": self.account.pw_uid, "group": self.account.pw_gid}
            options["extra_groups"] = []
        return options

    def write(self, name: str, text: str) -> None:
        """Make or replace a file, as the owner of the home would."""
        path = f"{self.path}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        if os.getuid() == 0:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def qmailctl(self, *arguments: str) -> None:
        """Run qmailctl, which must succeed."""
        argv = [sys.executable, "-c", QMAILCTL, *arguments]
        answer = subprocess.run(
            argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **self.options()
        )
        assert answer.returncode == 0, f"qmailctl {arguments}: {answer.stdout.decode()}"

    def run(
        self, *argv: str, text: bytes = b"", **environ: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program of the home; return how it ended."""
        return subprocess.run(
            [f"{self.path}/bin/{argv[0]}", *argv[1:]],
            input=text,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            **self.options(**environ),
        )

    def inject(self, text: bytes, *arguments: str) -> None:
        """Send a message, which must be accepted."""
        answer = self.run("qmail-inject", *arguments, text=text)
        assert answer.returncode == 0, answer.stderr.decode()

    # The server.

    def start(self, *options: str, **environ: str) -> None:
        """Start the home, and return when qmail-send has written its first line."""
        written = len(self.log())
        self._server = self.start_another(self.log_path, *options, **environ)
        self.wait(lambda: "\nstatus: " in "\n" + self.log()[written:], "the home did not start")

    def start_another(
        self, log_path: str, *options: str, **environ: str
    ) -> subprocess.Popen[bytes]:
        """Start `qmailctl run`, and return it. Without options it serves no network."""
        with open(log_path, "ab") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    *("-c", QMAILCTL, "run", "--home", self.path),
                    *(options or NO_SERVICES),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self.options(**environ),
            )

    def start_alone(self, *arguments: str, waits: bool = True) -> None:
        """Start the home with nothing but qmail-start, as a boot script does."""
        written = len(self.log())
        with open(self.log_path, "ab") as log:
            self._server = subprocess.Popen(
                [f"{self.path}/bin/qmail-start", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self.options(),
            )
        if waits:
            self.wait(lambda: "status:" in self.log()[written:], "the home did not start")
            self.wait(self._listens, "nobody listens on queue.sock")

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(f"{self.path}/run/queue.sock") == 0

    def stop(self) -> int:
        """Stop the home as TERM does; return the exit code."""
        assert self._server is not None, "start() comes first"
        self._server.send_signal(signal.SIGTERM)
        return self._server.wait(PATIENCE)

    @property
    def log_path(self) -> str:
        """Where the log is, from start to start."""
        return f"{self.top}/log"

    @property
    def pid(self) -> int:
        """The process that all others of the home descend from."""
        assert self._server is not None, "start() comes first"
        return self._server.pid

    def runs(self) -> bool:
        """Ask whether the home runs."""
        return self._server is not None and self._server.poll() is None

    def processes(self, title: str) -> list[int]:
        """Return the processes of the running home whose title or command line has `title`."""
        if not self.runs():
            return []
        assert self._server is not None, "it runs"
        return [pid for pid in descendants(self._server.pid) if title in command_line(pid)]

    def kill(self, title: str) -> None:
        """Kill one process of the home, as nobody should."""
        (pid, *_) = self.processes(title)
        os.kill(pid, signal.SIGKILL)

    def family(self) -> list[int]:
        """Return all processes of the running home."""
        return [self.pid, *descendants(self.pid)]

    def titled(self, title: str) -> list[int]:
        """Return the processes whose title is this, with arguments or without."""
        return [pid for pid in self.family() if self.title_of(pid).split(" ")[0] == title]

    def workers(self) -> list[int]:
        """Return the delivery workers."""
        (spawner,) = self.titled("qmail-lspawn")
        return list(descendants(spawner))

    def title_of(self, pid: int) -> str:
        """Return what lists of processes show for a process."""
        return command_line(pid).strip()

    def wait_until_gone(self, pids: Sequence[int]) -> None:
        """Return when none of the processes lives any more."""
        assert self._server is not None, "it was started"
        self._server.wait(PATIENCE)
        self.wait(
            lambda: not any(lives(pid) for pid in pids),
            f"these live on: {[(pid, command_line(pid)) for pid in pids if lives(pid)]}",
        )

    def kill_all(self) -> None:
        """End what is left of a home after a test that has failed."""
        if self._server is not None and self._server.poll() is None:
            for pid in self.family():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._server.wait(PATIENCE)

    # What can be seen.

    def log(self) -> str:
        """Return the whole log."""
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="latin-1") as file:
            return file.read()

    def mail(self, user: str) -> list[bytes]:
        """Return the messages in a user's Maildir."""
        folder = f"{self.path}/home/{user}/Maildir/new"
        return [_read(f"{folder}/{name}") for name in sorted(os.listdir(folder))]

    def home_of(self, user: str) -> str:
        """Return the folder of a user, which his programs see as HOME."""
        return f"{self.path}/home/{user}"

    def remove_mail(self, user: str) -> None:
        """Empty a user's Maildir."""
        for folder in ("new", "cur"):
            for name in os.listdir(f"{self.home_of(user)}/Maildir/{folder}"):
                os.unlink(f"{self.home_of(user)}/Maildir/{folder}/{name}")

    def queued(self) -> list[str]:
        """Return the files of the queue that belong to messages."""
        found = []
        for name in ("mess", "todo", "intd", "info", "local", "remote", "bounce", "pid"):
            for folder, _, names in os.walk(f"{self.path}/queue/{name}"):
                found += [f"{folder}/{file}" for file in names]
        return found

    def wait(self, enough: Callable[[], bool], complaint: str, patience: float = PATIENCE) -> None:
        """Return when `enough()` is true; fail with the log if that takes too long."""
        end = time.monotonic() + patience
        while not enough():
            assert time.monotonic() < end, f"{complaint}; the log:\n{self.log()}"
            time.sleep(INTERVAL)

    def wait_until_logged(self, text: str, times: int = 1) -> None:
        """Return when the log has `text` so many times."""
        self.wait(lambda: self.log().count(text) >= times, f"the log lacks {text!r}")

    def wait_until_empty(self) -> None:
        """Return when nothing is queued."""
        self.wait(lambda: not self.queued(), "the queue did not become empty")


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def descendants(pid: int) -> Sequence[int]:
    """Return all processes that a process has started, and those that they have."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                status = _read(f"/proc/{name}/stat")
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The name in parentheses may hold anything; what follows is numbers.
            parents[int(name)] = int(status.rpartition(b")")[2].split()[1])
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def lives(pid: int) -> bool:
    """Does this process still do anything?"""
    try:
        status = _read(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return False
    # In a container nobody may wait for what has lost its parent; it is dead all the same.
    return status.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def command_line(pid: int) -> str:
    """Return what lists of processes show for a process; nothing if it is gone."""
    try:
        return _read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode("latin-1")
    except (FileNotFoundError, ProcessLookupError):
        return ""
