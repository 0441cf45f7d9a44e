"""A whole home in the foreground: qmail-queued, the servers, qmail-start, and their end.

All are children in sessions of their own, so that Ctrl-C reaches this process
alone, which then stops them in order. The kernel ends them if this process is
killed; what they started in turn ends with them, by their pipes.

A qmail-queued that runs already, as a service of its own, is used; this
process takes its place when it goes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import read_text
from pyqmail.errors import TransientFailure
from pyqmail.home import readiness
from pyqmail.home.boot import MAILBOX
from pyqmail.home.children import (
    PASSED_ON,
    PATIENCE,
    STOPPING,
    WATCHED,
    end,
    how_it_ended,
    is_told_to_stop,
    say,
    start,
)
from pyqmail.home.doors import Doors
from pyqmail.home.services import choose_places
from pyqmail.system import files
from pyqmail.system.locks import try_lock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

    from pyqmail.home.services import Place

_SOCKET: Final = "run/queue.sock"  # relative: a UNIX socket's path has at most 107 bytes
_LOCK: Final = "run/qmailctl.lock"
_LOCK_MODE: Final = 0o600
_PAUSE: Final = 0.02  # seconds between two looks whether qmail-queued answers
_RESTART_PAUSE: Final = 1  # seconds; a qmail-queued that dies at once must not make a storm


def run_home(
    home: str, listen: Sequence[str] = (), *, as_json: bool = False, notify_socket: str = ""
) -> int:
    """Run the home until TERM or INT; return the exit code.

    0 after a clean stop; 111 if qmail-send ends by itself. The caller is the
    owner of the home already. `listen` says where services are, as
    `choose_places()` reads it; where they came to be is printed, as JSON if
    wanted. `notify_socket` is that of a service manager.
    """
    places = choose_places(listen)
    os.chdir(home)
    lock = files.open_to_append(_LOCK, _LOCK_MODE)
    try:
        if not try_lock(lock):
            raise TransientFailure(os.fsencode(f"{home} is running already"))
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        server = _Server(home, Doors(home, places), notify_socket)
        return server.run(as_json=as_json)
    finally:
        os.close(lock)


def _introduction(home: str, places: Mapping[str, Place], *, as_json: bool) -> str:
    """Return what is said first: what listens where."""
    if as_json:
        where = {name: {"host": place.host, "port": place.port} for name, place in places.items()}
        return json.dumps({"home": home, "services": where}) + "\n"
    return "".join(f"qmailctl: {name} listens on {place}\n" for name, place in places.items())


class _Server:
    """The children of one home."""

    def __init__(self, home: str, doors: Doors, notify_socket: str) -> None:
        self._home = home
        self._doors = doors
        self._notify_socket = notify_socket
        self._queued: subprocess.Popen[bytes] | None = None
        self._send: subprocess.Popen[bytes] | None = None
        self._stopping = False
        # Now: a terminal that has gone is none any more.
        self._stopping_signals = (*STOPPING, signal.SIGHUP) if os.isatty(0) else STOPPING

    def run(self, *, as_json: bool) -> int:
        try:
            self._start_queued()
            self._doors.open()
            # Before qmail-send has its first word.
            sys.stdout.write(_introduction(self._home, self._doors.places, as_json=as_json))
            sys.stdout.flush()
            self._doors.release_log()
            self._send = start(self._home, "qmail-start", default_delivery(self._home))
            readiness.notify(self._notify_socket, readiness.READY)
            return self._watch()
        finally:
            self._stop()
            end(self._send)
            self._doors.end()
            end(self._queued)

    def _watch(self) -> int:
        """Wait for signals until qmail-send has ended."""
        assert self._send is not None, "run() has started it"
        while self._send.poll() is None:
            number = self._next_signal()
            if number in self._stopping_signals:
                self._stop()
                self._send.terminate()
            elif number in PASSED_ON:
                self._send.send_signal(number)
            elif number == signal.SIGCHLD:
                self._look_after_queued()
            elif self._queued is None and not _answers(_SOCKET):
                say("starting qmail-queued again")
                self._queued = start(self._home, "qmail-queued")
            self._doors.look_after()
        # Killed by TERM: it came before qmail-send had begun, and nothing was under way.
        if self._stopping and self._send.returncode in {0, -signal.SIGTERM}:
            return 0
        say(f"qmail-send {how_it_ended(self._send.returncode)}")
        return TransientFailure.exit_code

    def _stop(self) -> None:
        """Let nobody in any more."""
        if not self._stopping:
            readiness.notify(self._notify_socket, readiness.STOPPING)
        self._stopping = True
        self._doors.close()

    def _next_signal(self) -> int:
        """Return the next signal; 0 if it is time to look what has to be started again."""
        if self._queued is not None and not self._doors.any_is_down:
            return signal.sigwait(WATCHED)  # SIGCHLD will tell us when one ends
        received = signal.sigtimedwait(WATCHED, _RESTART_PAUSE)
        return 0 if received is None else received.si_signo

    def _start_queued(self) -> None:
        if _answers(_SOCKET):
            return
        self._queued = start(self._home, "qmail-queued")
        deadline = time.monotonic() + PATIENCE
        while not _answers(_SOCKET):
            if self._queued.poll() is not None:
                how = how_it_ended(self._queued.returncode)
                raise TransientFailure(f"qmail-queued {how} before it answered".encode())
            if time.monotonic() > deadline:
                raise TransientFailure(b"qmail-queued does not answer at run/queue.sock")
            # A signal that asks to stop cuts the waiting short and stays for _watch().
            if is_told_to_stop():
                return
            time.sleep(_PAUSE)

    def _look_after_queued(self) -> None:
        """If our qmail-queued has ended, forget it: _watch() starts another after a pause."""
        if self._queued is None or self._queued.poll() is None:
            return
        say(f"qmail-queued {how_it_ended(self._queued.returncode)}")
        self._queued = None


def default_delivery(home: str) -> str:
    """Return what qmail-start is told: control/defaultdelivery, else `./Mailbox` as rc has it."""
    text = read_text(home, "control/defaultdelivery")
    return os.fsdecode(text.rstrip(b"\n")) if text and text.strip() else MAILBOX


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError:
            return False
    return True
