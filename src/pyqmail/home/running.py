"""A whole home in the foreground: qmail-queued and qmail-start, and their end.

Both are children in sessions of their own, so that Ctrl-C reaches this process
alone, which then stops them in order. The kernel ends them if this process is
killed; what they started in turn ends with them, by their pipes.

A qmail-queued that runs already, as a service of its own, is used; this
process takes its place when it goes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import Final

from pyqmail.control.files import read_text
from pyqmail.errors import TransientFailure
from pyqmail.home.boot import MAILBOX
from pyqmail.system import files
from pyqmail.system.lifeline import end_with_parent
from pyqmail.system.locks import try_lock

_SOCKET: Final = "run/queue.sock"  # relative: a UNIX socket's path has at most 107 bytes
_LOCK: Final = "run/qmailctl.lock"
_LOCK_MODE: Final = 0o600
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_PASSED_ON: Final = (signal.SIGALRM, signal.SIGHUP)  # to qmail-send, which knows what they mean
_WATCHED: Final = (*_STOPPING, *_PASSED_ON, signal.SIGCHLD)
_PATIENCE: Final = 10  # seconds for qmail-queued to answer, and to end
_PAUSE: Final = 0.02  # seconds between two looks whether it does
_RESTART_PAUSE: Final = 1  # seconds; a qmail-queued that dies at once must not make a storm


def run_home(home: str) -> int:
    """Run the home until TERM or INT; return the exit code.

    0 after a clean stop; 111 if qmail-send ends by itself. The caller is the
    owner of the home already.
    """
    os.chdir(home)
    lock = files.open_to_append(_LOCK, _LOCK_MODE)
    try:
        if not try_lock(lock):
            raise TransientFailure(os.fsencode(f"{home} is running already"))
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        return _Server(home).run()
    finally:
        os.close(lock)


class _Server:
    """The two children of one home."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._queued: subprocess.Popen[bytes] | None = None
        self._send: subprocess.Popen[bytes] | None = None
        self._stopping = False
        # Now: a terminal that has gone is none any more.
        self._stopping_signals = (*_STOPPING, signal.SIGHUP) if os.isatty(0) else _STOPPING

    def run(self) -> int:
        try:
            self._start_queued()
            self._send = self._start("qmail-start", default_delivery(self._home))
            return self._watch()
        finally:
            self._end(self._send)
            self._end(self._queued)

    def _watch(self) -> int:
        """Wait for signals until qmail-send has ended."""
        assert self._send is not None, "run() has started it"
        while self._send.poll() is None:
            number = self._next_signal()
            if number in self._stopping_signals:
                self._stopping = True
                self._send.terminate()
            elif number in _PASSED_ON:
                self._send.send_signal(number)
            elif number == signal.SIGCHLD:
                self._look_after_queued()
            elif not _answers(_SOCKET):
                _say("starting qmail-queued again")
                self._queued = self._start("qmail-queued")
        # Killed by TERM: it came before qmail-send had begun, and nothing was under way.
        if self._stopping and self._send.returncode in {0, -signal.SIGTERM}:
            return 0
        _say(f"qmail-send {_how_it_ended(self._send.returncode)}")
        return TransientFailure.exit_code

    def _next_signal(self) -> int:
        """Return the next signal; 0 if it is time to look who serves the socket."""
        if self._queued is not None:  # SIGCHLD will tell us when it ends
            return signal.sigwait(_WATCHED)
        received = signal.sigtimedwait(_WATCHED, _RESTART_PAUSE)
        return 0 if received is None else received.si_signo

    def _start_queued(self) -> None:
        if _answers(_SOCKET):
            return
        self._queued = self._start("qmail-queued")
        deadline = time.monotonic() + _PATIENCE
        while not _answers(_SOCKET):
            if self._queued.poll() is not None:
                how = _how_it_ended(self._queued.returncode)
                raise TransientFailure(f"qmail-queued {how} before it answered".encode())
            if time.monotonic() > deadline:
                raise TransientFailure(b"qmail-queued does not answer at run/queue.sock")
            # A signal that asks to stop cuts the waiting short and stays for _watch().
            if signal.sigpending() & {*_STOPPING}:
                return
            time.sleep(_PAUSE)

    def _look_after_queued(self) -> None:
        """If our qmail-queued has ended, forget it: _watch() starts another after a pause."""
        if self._queued is None or self._queued.poll() is None:
            return
        _say(f"qmail-queued {_how_it_ended(self._queued.returncode)}")
        self._queued = None

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        path = os.path.join(self._home, "bin", program)
        parent = os.getpid()

        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            end_with_parent(parent)

        # Nothing else of this environment: all of it would reach users' programs.
        environment = {"PATH": f"{self._home}/bin:{os.defpath}", "QMAILHOME": self._home}
        try:
            return subprocess.Popen(
                [program, *arguments],
                executable=path,
                env=environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509  this process has one thread
            )
        except OSError as error:
            text = f"unable to run {path}: {error.strerror}: run qmailctl setup"
            raise TransientFailure(os.fsencode(text)) from error

    @staticmethod
    def _end(child: subprocess.Popen[bytes] | None) -> None:
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()  # what it has not answered for is not accepted: nothing is lost
            child.wait()


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


def _how_it_ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _say(text: str) -> None:
    sys.stderr.write(f"qmailctl: {text}\n")
    sys.stderr.flush()
