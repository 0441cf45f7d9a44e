"""The processes that `qmailctl run` starts, each in a session of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from pyqmail.errors import TransientFailure
from pyqmail.system.lifeline import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
PASSED_ON: Final = (signal.SIGALRM, signal.SIGHUP)  # to qmail-send, which knows what they mean
WATCHED: Final = (*STOPPING, *PASSED_ON, signal.SIGCHLD)  # blocked, and waited for
PATIENCE: Final = 10  # seconds for a child to answer, and to end


def start(
    home: str,
    program: str,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    **streams: Any,
) -> subprocess.Popen[bytes]:
    """Start a program of `home`, which ends when this process does. Raises TransientFailure.

    It sees nothing of our environment, since all of that would reach users'
    programs: only PATH, QMAILHOME and `variables`.
    """
    path = os.path.join(home, "bin", program)
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
        end_with_parent(parent)

    environment = {"PATH": f"{home}/bin:{os.defpath}", "QMAILHOME": home, **(variables or {})}
    try:
        return subprocess.Popen(
            [program, *arguments],
            executable=path,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509  this process has one thread
            **streams,
        )
    except OSError as error:
        text = f"unable to run {path}: {error.strerror}: run qmailctl setup"
        raise TransientFailure(os.fsencode(text)) from error


def end(child: subprocess.Popen[bytes] | None) -> None:
    """Stop a child as TERM does, and at last as KILL does."""
    if child is None or child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()  # what it has not answered for is not accepted: nothing is lost
        child.wait()


def is_told_to_stop() -> bool:
    """Ask whether a signal that stops us waits to be looked at."""
    return bool(signal.sigpending() & {*STOPPING})


def how_it_ended(code: int) -> str:
    """Say what a return code of `subprocess` means."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def say(text: str) -> None:
    """Write a line on descriptor 2."""
    sys.stderr.write(f"qmailctl: {text}\n")
    sys.stderr.flush()
