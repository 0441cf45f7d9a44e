"""Start, stop and signal a home in the background, as the well-known qmailctl script does.

A home has services: delivery (qmail-send and its neighbours), and what takes
mail from the network. Where svscan watches over a service's folder, its
supervise is told; else the service is started here, and its process is found
by the lock that it holds, or by the number that was written down.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.home.service_files import SEND, SMTPD, SUPERVISE
from pyqmail.queue import layout
from pyqmail.system import files
from pyqmail.system.running import Process, holder_of, process_of

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE: Final = 10  # seconds for a service to begin
_LONG_PATIENCE: Final = 90  # seconds for deliveries under way to end
_LOOK: Final = 0.05
_TAI_OFFSET: Final = 2**62 + 10  # of TAI64 to Unix time, near enough for ages; tai64n(8)
_STATUS_SIZE: Final = 18  # bytes of supervise/status: TAI64N, pid, paused, wanted
# What supervise does for a letter in its FIFO: up, down, or a signal; svc(8).
_LETTERS: Final = {
    signal.SIGTERM: b"t",
    signal.SIGALRM: b"a",
    signal.SIGHUP: b"h",
    signal.SIGSTOP: b"p",
    signal.SIGCONT: b"c",
}


class Service:
    """One service of a home: `start()`, `stop()`, `signal()`, and `status()` in a line."""

    def __init__(self, home: str, name: str, program: str, log: str) -> None:
        self.name = name
        self._home = home
        self._program = program
        self._log = log
        self._folder = os.path.join(home, SUPERVISE, name)

    @property
    def supervised(self) -> bool:
        """Does a supervise watch over it?"""
        try:
            os.close(os.open(f"{self._folder}/supervise/ok", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    def process(self) -> Process | None:
        """Return its process, if it runs."""
        if self.supervised:
            _, pid, _ = self._supervise_status()
            return process_of(pid) if pid else None
        if self.name == SEND:
            found = holder_of(os.path.join(layout.queue_directory(self._home), layout.SEND_MUTEX))
            return found if found and SEND in found.title else None
        return self._noted()

    def start(self) -> bool:
        """Start it; return whether it was down. Raises TransientFailure if it does not begin."""
        if self.supervised:
            was_down = self.process() is None
            self._tell(b"u")
        else:
            was_down = self.process() is None
            if was_down:
                self._note(self._launch())
        self._wait(lambda: self.process() is not None, _PATIENCE, "does not start: look at its log")
        return was_down

    def stop(self) -> bool:
        """Stop it in order; return whether it ran. Raises TransientFailure if it goes on."""
        found = self.process()
        if self.supervised:
            self._tell(b"d")
            self._tell(b"c")  # what is paused hears nothing else
        elif found is not None:
            found.signal(signal.SIGTERM)
            found.signal(signal.SIGCONT)
        if found is None:
            return False
        self._wait(lambda: not found.lives, _LONG_PATIENCE, "does not end")
        return True

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; return whether it runs."""
        found = self.process()
        if found is None:
            return False
        if self.supervised:
            self._tell(_LETTERS[number])
            return True
        return found.signal(number)

    def status(self) -> str:
        """Return a line as svstat writes it."""
        found = self.process()
        if self.supervised:
            since, _, paused = self._supervise_status()
            age = max(0, int(time.time()) - since)
        else:
            age, paused = (found.age, False) if found else (0, False)
        if found is None:
            return f"{self.name}: down" + (f" {age} seconds" if age else "")
        return f"{self.name}: up (pid {found.pid}) {age} seconds" + (", paused" if paused else "")

    def _launch(self) -> Process | None:
        """Start the program in the background, with its words in the system's log."""
        if not os.path.exists(self._program):
            raise PermanentFailure(os.fsencode(f"nothing starts {self._home}: run qmailctl setup"))
        logger = subprocess.Popen(
            [f"{self._home}/bin/splogger", self._log],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=self._environment(),
            cwd="/",
            **self._as_logger(),
        )
        child = subprocess.Popen(
            [self._program],
            stdin=subprocess.DEVNULL,
            stdout=logger.stdin,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=self._environment(),
            cwd="/",
        )
        assert logger.stdin is not None, "it is a pipe"
        logger.stdin.close()
        return process_of(child.pid)

    def _as_logger(self) -> dict[str, Any]:
        """Return what makes `subprocess` run the logger as its own user."""
        roles = roles_of(self._home)
        if roles.private:
            return {}
        group = roles.nofiles_group
        return {"user": roles.qmaill.uid, "group": group, "extra_groups": [group]}

    def _environment(self) -> dict[str, str]:
        # Nothing of ours: all of it would reach users' programs.
        path = f"{self._home}/bin:/usr/local/bin:/usr/bin:/bin"
        return {"PATH": path, "QMAILHOME": self._home}

    def _note(self, process: Process | None) -> None:
        if process is not None and self.name != SEND:
            text = f"{process.pid} {process.began}\n".encode()
            files.replace_durably(f"{self._folder}/pid", text, 0o644)

    def _noted(self) -> Process | None:
        """Return the process that was written down, if it is still that one."""
        try:
            pid, began = map(int, files.read_all(f"{self._folder}/pid").split())
        except (FileNotFoundError, ValueError):
            return None
        noted = Process(pid, began)
        return noted if noted.lives else None

    def _tell(self, letter: bytes) -> None:
        descriptor = os.open(f"{self._folder}/supervise/control", os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(descriptor, letter)
        finally:
            os.close(descriptor)

    def _supervise_status(self) -> tuple[int, int, bool]:
        """Return since when, as which process, and whether it is paused; pid 0: it is down."""
        data = files.read_all(f"{self._folder}/supervise/status")
        if len(data) != _STATUS_SIZE:
            return 0, 0, False
        since = int.from_bytes(data[:8], "big") - _TAI_OFFSET
        return since, int.from_bytes(data[12:16], "little"), bool(data[16])

    def _wait(self, enough: Callable[[], bool], patience: float, complaint: str) -> None:
        end = time.monotonic() + patience
        while not enough():
            if time.monotonic() > end:
                raise TransientFailure(f"{self.name} {complaint}".encode())
            time.sleep(_LOOK)


def services_of(home: str) -> list[Service]:
    """Return the services of a home: delivery first."""
    found = [Service(home, SEND, _delivery_program(home), "qmail")]
    if os.path.exists(f"{home}/{SUPERVISE}/{SMTPD}/run"):
        found.append(Service(home, SMTPD, f"{home}/{SUPERVISE}/{SMTPD}/run", "smtpd"))
    return found


def _delivery_program(home: str) -> str:
    for name in (f"{SUPERVISE}/{SEND}/run", "rc"):
        if os.path.isfile(os.path.join(home, name)):
            return os.path.join(home, name)
    return os.path.join(home, "rc")  # as the tutorials have it; if it is missing, start() says so
