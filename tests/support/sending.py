"""A qmail-send whose spawners, log and qmail-clean are the test."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from tests.support import queues

from pyqmail.protocol.spawn import Job, JobReader
from pyqmail.queue import cleanup
from pyqmail.queue.trigger import pull

if TYPE_CHECKING:
    from pathlib import Path

    from pyqmail.queue.store import Channel

PATIENCE = 30  # seconds
HIGH = 50  # descriptors from here on are the test's


class SendHome:
    """A home with a queue, and the programs around its qmail-send.

    Bounces go to the program `queue_program`.
    """

    def __init__(self, top: Path, launchers: str, queue_program: str) -> None:
        self.path = str(top / "home")
        self._launchers = launchers
        self._queue_program = queue_program
        self._log_path = str(top / "log")
        self._process: subprocess.Popen[bytes] | None = None
        self._ends: dict[int, int] = {}
        self._unread: list[tuple[Channel, Job]] = []
        queues.make_home(self.path)
        os.makedirs(self.path + "/control")
        self.control("me", "here.example\n")

    def control(self, name: str, text: str) -> None:
        """Write a control file."""
        with open(f"{self.path}/control/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    # The process.

    def start(self, greeting: bytes = b"\x78") -> None:
        """Start qmail-send, and greet it as both spawners do."""
        self.launch()
        self.greet(greeting)
        self.wait_until_logged(rb"^status: ")

    def greet(self, greeting: bytes = b"\x78") -> None:
        """Say what both spawners say first."""
        os.write(self._ends[2], greeting)
        os.write(self._ends[4], greeting)

    def launch(self) -> None:
        """Start qmail-send with nobody who speaks to it yet."""
        self.let_go()
        theirs: dict[int, int] = {}
        for number, writes in ((1, True), (2, False), (3, True), (4, False), (5, True), (6, False)):
            reading, writing = (_high(end) for end in os.pipe())
            theirs[number], self._ends[number] = (
                (writing, reading) if writes else (reading, writing)
            )
        requests, answers = self._ends.pop(5), self._ends.pop(6)
        self._cleaner_is_gone = threading.Event()
        arguments = (self.path, requests, answers, self._cleaner_is_gone)
        threading.Thread(target=_clean, args=arguments, daemon=True).start()

        def place() -> None:
            for number in (3, 4, 5, 6):
                os.dup2(theirs[number], number)

        with open(self._log_path, "ab") as log:
            self._written = log.tell()
            self._process = subprocess.Popen(
                [f"{self._launchers}/qmail-send"],
                stdin=log,
                stdout=theirs[1],
                stderr=theirs[2],
                pass_fds=(3, 4, 5, 6),
                preexec_fn=place,  # noqa: PLW1509  it only moves descriptors
                env={
                    "PATH": os.environ["PATH"],
                    "QMAILHOME": self.path,
                    "QMAILQUEUE": self._queue_program,
                },
            )
        for end in theirs.values():
            os.close(end)
        self._readers = {"local": JobReader(), "remote": JobReader()}
        self._unread.clear()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    def lose_cleaner(self) -> None:
        """Have qmail-clean die before it does anything more."""
        self._cleaner_is_gone.set()

    def signal(self, number: int) -> None:
        """Send a signal to qmail-send."""
        assert self._process is not None, "start() comes first"
        self._process.send_signal(number)

    def ended(self) -> int:
        """Return the exit code, once it has ended."""
        assert self._process is not None, "start() comes first"
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        """End qmail-send as nobody should."""
        self.signal(signal.SIGKILL)
        self.ended()

    def let_go(self) -> None:
        """End qmail-send if it runs, and close the test's ends of all pipes."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        for end in self._ends.values():
            os.close(end)
        self._ends.clear()

    # Messages.

    def inject(self, *forward_paths: bytes, reverse_path: bytes = b"sue@far.example") -> int:
        """Accept a message and pull the trigger; return its number."""
        intake = queues.file_intake(self.path)
        draft = queues.draft(intake, reverse_path=reverse_path, forward_paths=forward_paths)
        before = set(os.listdir(self.path + "/queue/todo"))
        assert intake.accept([draft]) == [None]
        (name,) = set(os.listdir(self.path + "/queue/todo")) - before or {"0"}
        pull(self.path + "/queue")
        return int(name)

    # The spawners.

    def jobs(self, count: int) -> list[tuple[Channel, Job]]:
        """Return the next jobs, in the order of their arrival on each channel."""
        deadline = time.monotonic() + PATIENCE
        while len(self._unread) < count:
            assert time.monotonic() < deadline, f"only {self._unread} came; {self.log()!r}"
            self._read_jobs(0.1)
        jobs, self._unread = self._unread[:count], self._unread[count:]
        return jobs

    def no_job(self, pause: float = 0.3) -> bool:
        """Wait a moment; say whether no job came."""
        self._read_jobs(pause)
        return not self._unread

    def _read_jobs(self, timeout: float) -> None:
        ends: dict[int, Channel] = {self._ends[1]: "local", self._ends[3]: "remote"}
        for end in select.select(list(ends), [], [], timeout)[0]:
            channel = ends[end]
            jobs = self._readers[channel].feed(os.read(end, 65536))
            self._unread += [(channel, job) for job in jobs]

    def report(self, channel: Channel, data: bytes) -> None:
        """Say something as the spawner of a channel."""
        os.write(self._ends[{"local": 2, "remote": 4}[channel]], data)

    def hang_up(self, channel: Channel) -> None:
        """Be a spawner that dies."""
        for number in {"local": (1, 2), "remote": (3, 4)}[channel]:
            os.close(self._ends.pop(number))

    # What can be seen.

    def log(self) -> bytes:
        """Return what the last qmail-send has logged."""
        with open(self._log_path, "rb") as file:
            file.seek(self._written)
            return file.read()

    def wait_until_logged(self, pattern: bytes) -> None:
        """Return when a line of the log matches."""
        self.wait_until(lambda: re.search(pattern, self.log(), re.MULTILINE) is not None)

    def wait_until(self, happens: object) -> None:
        """Return when `happens()` is true."""
        assert callable(happens)
        deadline = time.monotonic() + PATIENCE
        while not happens():
            assert time.monotonic() < deadline, self.log().decode("latin-1")
            time.sleep(0.01)

    def queued(self, *directories: str) -> dict[str, bytes]:
        """Return the files of the queue that belong to messages."""
        names = directories or ("mess", "todo", "intd", "info", "local", "remote", "bounce")
        return queues.files_in(self.path, *names)


def _high(end: int) -> int:
    high = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, HIGH)
    os.close(end)
    return high


def _clean(home: str, requests: int, answers: int, is_gone: threading.Event) -> None:
    watched = cleanup.LocalCleaner(home)
    rest = b""
    while not is_gone.is_set() and (piece := os.read(requests, 65536)):
        if is_gone.is_set():
            break
        *complete, rest = (rest + piece).split(b"\0")
        try:
            os.write(answers, watched.clean(complete))
        except BrokenPipeError:
            break  # who asked was killed
    os.close(requests)
    os.close(answers)
