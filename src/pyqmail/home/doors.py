"""The servers of a running home: one tcpserver for each service.

They are opened together, closed first of all when the home stops, and started
again if they die.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import read_line
from pyqmail.home.children import PATIENCE, end, how_it_ended, is_told_to_stop, say, start
from pyqmail.home.services import ME, SERVICES, Place, Reservation, no_room

if TYPE_CHECKING:
    from collections.abc import Mapping

# Connections at a time. A session of ours costs less than 50 kB, so that what is
# slow or silent need not keep others out.
_LIMIT: Final = 1000
_BACKLOG: Final = 128  # that come at the same moment

_LOOK: Final = 0.1  # seconds between two looks whether we are told to stop
_FIRST_PAUSE: Final = 1  # seconds before a server that died is started again
_LONGEST_PAUSE: Final = 60
_STEADY: Final = 60  # seconds of life after which the first pause is enough again


class Doors:
    """All servers of the home. Raises TransientFailure if one of the places is taken."""

    def __init__(self, home: str, places: Mapping[str, Place]) -> None:
        # What tcpserver says waits in this pipe until `release_log()`: the first line is ours.
        self._log_end, log = os.pipe()
        self._log = log
        self._copier: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._doors: list[_Door] = []
        for name, place in places.items():
            self._doors.append(_Door(home, name, Reservation(name, place), log))

    @property
    def places(self) -> dict[str, Place]:
        """Where each service is, with the port that was chosen."""
        return {door.name: door.place for door in self._doors}

    def open(self) -> None:
        """Start all, and return when they listen, or a signal asks to stop."""
        for door in self._doors:
            door.start()
        deadline = time.monotonic() + PATIENCE
        for door in self._doors:
            door.wait_until_it_listens(deadline)

    def release_log(self) -> None:
        """Let the log of the servers flow to descriptor 1, until the last of them is gone."""
        if self._copier is None and self._doors:
            self._copier = subprocess.Popen(
                ["/bin/cat"], stdin=self._log_end, start_new_session=True, env={}
            )

    @property
    def any_is_down(self) -> bool:
        """Shall `look_after()` be called soon?"""
        return not self._closed and any(door.is_down for door in self._doors)

    def look_after(self) -> None:
        """Start again what has died, after a pause that grows."""
        if not self._closed:
            for door in self._doors:
                door.look_after()

    def close(self) -> None:
        """Let nobody in any more; who is in may finish until `end()`."""
        self._closed = True
        for door in self._doors:
            door.close()

    def end(self) -> None:
        """End all, with the sessions that are still open."""
        self._closed = True
        for door in self._doors:
            door.end()
        os.close(self._log)
        self.release_log()
        os.close(self._log_end)
        if self._copier is not None:
            try:
                self._copier.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._copier.kill()
                self._copier.wait()


class _Door:
    """One tcpserver and its place."""

    def __init__(self, home: str, name: str, reservation: Reservation, log: int) -> None:
        self.name = name
        self.place = reservation.place
        self._home = home
        self._reservation = reservation
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._group = 0
        self._started = self._due = 0.0
        self._pause = _FIRST_PAUSE

    def start(self) -> None:
        service = SERVICES[self.name]
        me = os.fsdecode(read_line(self._home, "me") or b"localhost")
        program = [me if word == ME else word for word in service.program]
        options = ["-v", "-1", "-R", "-l", me, f"-c{_LIMIT}", f"-b{_BACKLOG}"]
        if self.place.is_loopback:
            options.append("-H")  # a name says nothing there, and the DNS may keep us waiting
        self._process = start(
            self._home,
            "tcpserver",
            *options,
            "--",
            self.place.host,
            str(self.place.port),
            *program,
            variables=service.variables,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._group = self._process.pid
        self._started = time.monotonic()

    def wait_until_it_listens(self, deadline: float) -> None:
        """Return when it has said its port, or a signal asks to stop. Raises TransientFailure."""
        assert self._process is not None, "start() comes first"
        assert self._process.stdout is not None, "it is a pipe"
        said = self._process.stdout
        while not select.select([said], [], [], _LOOK)[0]:
            if is_told_to_stop():
                return
            if time.monotonic() > deadline:
                raise no_room(self.name, self.place, "tcpserver does not answer")
        if not said.readline():
            reason = f"tcpserver {how_it_ended(self._process.wait())}"
            raise no_room(self.name, self.place, reason)
        self._reservation.release()

    @property
    def is_down(self) -> bool:
        return self._process is None

    def look_after(self) -> None:
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            say(f"the tcpserver of {self.name} {how_it_ended(self._process.returncode)}")
            steady = now - self._started >= _STEADY
            self._pause = _FIRST_PAUSE if steady else self._pause
            self._due = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._forget()
        elif self._process is None and now >= self._due:
            say(f"starting the tcpserver of {self.name} again")
            self.start()

    def _forget(self) -> None:
        assert self._process is not None, "there is something to forget"
        assert self._process.stdout is not None, "it is a pipe"
        self._process.stdout.close()
        self._process = None

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def end(self) -> None:
        self._reservation.release()
        end(self._process)
        if self._process is not None:
            self._forget()
        # Workers outlive tcpserver until their last session has ended.
        if self._group:
            with suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGINT)
