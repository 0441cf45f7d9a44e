"""A spawner to give jobs to, with a home that the test fills."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyqmail.control.assign import parse_assign
from pyqmail.control.cdb import encode_cdb
from pyqmail.mailbox.maildir import make_maildir
from pyqmail.protocol.spawn import Job, ReportReader, encode_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.protocol.spawn import Report

MESSAGE = b"Subject: x\n\nhello\n"
PATIENCE = 30  # seconds
NOBODY = 65534


class SpawnHome:
    """A private home with one message in its queue; root gives it to nobody."""

    def __init__(self, top: str, launchers: str) -> None:
        self.path = Path(top)
        self._lines: list[str] = []
        for folder in ("users", "control", "alias", "queue/mess/0", "home"):
            (self.path / folder).mkdir(parents=True)
        (self.path / "queue/mess/0/23").write_bytes(MESSAGE)
        (self.path / "bin").symlink_to(launchers)
        self.own()

    def own(self) -> None:
        """Have everything belong to the owner of the home, who is never root."""
        if os.getuid() == 0:
            for path in [self.path, *self.path.rglob("*")]:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def add_user(self, name: str, dotqmail: str = "./Maildir/\n") -> Path:
        """Make a user with a home, a Maildir and the instructions `dotqmail`."""
        home = self.path / "home" / name
        home.mkdir(mode=0o755)
        make_maildir(str(home / "Maildir"))
        (home / ".qmail").write_text(dotqmail)
        self.own()
        status = self.path.stat()
        owner = f"{name}:{status.st_uid}:{status.st_gid}:{home}"
        self._lines += [f"={name}:{owner}:::\n", f"+{name}-:{owner}:-::\n"]
        records = parse_assign("".join([*self._lines, ".\n"]).encode())
        (self.path / "users/cdb").write_bytes(encode_cdb(records))
        return home


@contextmanager
def spawn_home(launchers: str) -> Iterator[SpawnHome]:
    """Make a home for qmail-lspawn that every account can reach."""
    with tempfile.TemporaryDirectory(prefix="home.") as top:
        os.chmod(top, 0o755)
        os.mkdir(f"{top}/home", 0o755)
        yield SpawnHome(f"{top}/home", launchers)


class RunningSpawner:
    """A spawner that runs; `deliver()` sends a job, `reports()` waits for answers."""

    def __init__(self, process: subprocess.Popen[bytes], width: int = 1) -> None:
        self.process = process
        self._width = width  # bytes of a slot
        self._reader = ReportReader(width)
        self._reports: list[Report] = []
        assert process.stdout is not None
        self._output = process.stdout.fileno()
        self._greeted = False
        self.greeting = b""

    def deliver(self, slot: int, forward_path: bytes) -> None:
        """Send a job."""
        self.send(encode_job(Job(slot, b"0/23", b"s@x", forward_path), self._width))

    def send(self, data: bytes) -> None:
        """Send whatever it is."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def hang_up(self) -> None:
        """Be a qmail-send that ends."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def reports(self, count: int) -> dict[int, bytes]:
        """Wait for `count` more reports; return letter and text of each by its slot."""
        deadline = time.monotonic() + PATIENCE
        while len(self._reports) < count:
            left = deadline - time.monotonic()
            assert left > 0, "no report"
            if select.select([self._output], [], [], left)[0]:
                data = os.read(self._output, 65536)
                assert data, "the spawner has ended"
                if not self._greeted:
                    self.greeting, data = data[: self._width], data[self._width :]
                    self._greeted = True
                self._reports += self._reader.feed(data)
        taken, self._reports = self._reports[:count], self._reports[count:]
        return {report.slot: report.letter + report.text for report in taken}

    def children(self) -> list[int]:
        """Return the process numbers of its workers."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return [int(pid) for pid in file.read().split()]


@contextmanager
def running(
    home: SpawnHome, *command: str, width: int = 1, **environ: str
) -> Iterator[RunningSpawner]:
    """Run a spawner on `home` while this lasts; without a command it is qmail-lspawn."""
    name, *arguments = command or ("qmail-lspawn", "./Mailbox")
    process = subprocess.Popen(
        [home.path / "bin" / name, *arguments],
        env={"PATH": os.defpath, "QMAILHOME": str(home.path), **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield RunningSpawner(process, width)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()
