"""What qmail-start does: six pipes, four neighbours, each as its own user; qmail-start(8).

The neighbours are forked from one process that has everything loaded, so they
share its memory. A program that somebody put in the place of ours is executed.
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Final

from pyqmail.control.launchers import LAUNCHER
from pyqmail.errors import SUCCESS, TRANSIENT
from pyqmail.queue.frames import socket_path
from pyqmail.system import files
from pyqmail.system.accounts import drop_to
from pyqmail.system.descriptors import connect, duplicate_above
from pyqmail.system.lifeline import end_at_hangup
from pyqmail.system.processes import execute_by_name, set_title, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    from pyqmail.control.roles import Roles

    # Runs a program of ours in this process; returns its exit code.
    Ours = Callable[[str, list[bytes]], int]
    Drop = Callable[[], None]

LOWEST: Final = 10  # pipes get numbers that no neighbour uses for itself
MAX_DESCRIPTOR: Final = 4096  # whoever starts us leaves fewer open than that

# seconds
STANDBY: Final = 10  # that we wait for a qmail-queued that is just ending
PAUSE: Final = 0.1  # between two looks at it
RESTART_PAUSE: Final = 1  # a qmail-queued that dies at once must not make a storm


class Starter:
    """Starts the neighbours of qmail-send, and becomes it.

    `call` runs a program of ours by its name.
    """

    def __init__(self, home: str, roles: Roles, environ: Mapping[bytes, bytes], call: Ours) -> None:
        self._home = home
        self._roles = roles
        self._environ = environ
        self._call = call

    def start(self, default: bytes, logger: list[bytes]) -> NoReturn:
        """Start everything and become qmail-send. Raises OSError."""
        drops = _drops(self._roles)
        hangup, lifeline = _pipe()
        self._start_queued(hangup, lifeline)
        os.close(hangup)
        if logger:
            reading, writing = _pipe()
            self._fork(lambda: execute_by_name(logger, self._environ), drops["log"], reading, 1)
            os.dup2(writing, 1)
            os.close(writing)
        os.dup2(1, 0)
        ends: list[int] = []
        for arguments, drop in (
            ([b"qmail-lspawn", default], drops["lspawn"]),
            ([b"qmail-rspawn"], drops["rspawn"]),
            ([b"qmail-clean"], drops["clean"]),
        ):
            ends += self._start_neighbour(arguments, drop)
        for number, end in enumerate(ends, 1):
            os.dup2(end, number)
        # Whoever is qmail-send holds the lifeline of qmail-queued; its children do not.
        os.dup2(lifeline, len(ends) + 1, inheritable=not self._is_ours(b"qmail-send"))
        os.closerange(len(ends) + 2, MAX_DESCRIPTOR)
        drops["send"]()
        os._exit(self._run([b"qmail-send"]))

    def _start_neighbour(self, arguments: list[bytes], drop: Drop) -> tuple[int, int]:
        requests, ask = _pipe()
        hear, answers = _pipe()
        # Why it does not start, and what was unforeseen in it, only qmail-rspawn can say. Nobody
        # else gets the log: what qmail-lspawn has, workers of users have.
        may_log = arguments == [b"qmail-rspawn"] and self._is_ours(arguments[0])
        self._fork(lambda: self._run(arguments), drop, requests, answers, may_log=may_log)
        os.close(requests)
        os.close(answers)
        return ask, hear

    def _fork(
        self,
        work: Callable[[], int],
        drop: Drop,
        stdin: int,
        stdout: int,
        *,
        may_log: bool = False,
    ) -> None:
        if os.fork():
            return
        # Whatever happens, this child never returns into its parent's code.
        try:
            if may_log:
                os.dup2(1, 2)
            else:
                _silence(2)  # descriptor 2 must be taken, or the next open file is it
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            os.closerange(3, MAX_DESCRIPTOR)
            drop()
            os._exit(work())
        finally:
            os._exit(TRANSIENT)

    def _run(self, arguments: list[bytes]) -> int:
        """Run a program: in this process if it is ours."""
        if not self._is_ours(arguments[0]):
            execute_by_name(arguments, self._environ)
        name = os.fsdecode(arguments[0])
        set_title(name)
        return self._call(name, arguments[1:])

    def _is_ours(self, name: bytes) -> bool:
        """Is the first program of this name in PATH one of ours, or is there none?"""
        for folder in self._environ.get(b"PATH", b"").split(b":"):
            path = os.path.join(folder, name)
            if os.path.lexists(path):
                return os.path.basename(os.path.realpath(path)) == LAUNCHER.encode()
        return True

    def _start_queued(self, hangup: int, lifeline: int) -> None:
        """Fork what keeps a qmail-queued running until we end."""
        stands_by = self._answers()
        pid = os.fork()
        if pid:
            if stands_by:
                wait_for(pid)
            return
        try:
            # What stands by ends soon, as a rule; qmail-send waits for no child of its own.
            if stands_by and os.fork():
                os._exit(SUCCESS)
            os.close(lifeline)
            owner = self._roles.qmailq
            _own_run_folder(self._home, self._roles)
            drop_to(owner.uid, self._roles.qmail_group, [self._roles.qmail_group])
            _silence(0)
            self._keep_queued(hangup)
            os._exit(SUCCESS)
        finally:
            os._exit(TRANSIENT)

    def _keep_queued(self, hangup: int) -> None:
        """Run a qmail-queued, another when it dies, until we end or somebody else's serves.

        Users cannot start one, and without it they cannot send mail.
        """
        while not self._others_serve():
            pid = os.fork()
            if not pid:
                end_at_hangup(hangup)
                os._exit(self._run([b"qmail-queued"]))
            wait_for(pid)
            if select.select([hangup], [], [], RESTART_PAUSE)[0]:
                return  # qmail-send has ended

    def _others_serve(self) -> bool:
        """Is there a qmail-queued, and not just one of ours that was told to end?"""
        deadline = time.monotonic() + STANDBY
        while self._answers():
            if time.monotonic() > deadline:
                return True
            time.sleep(PAUSE)
        return False

    def _answers(self) -> bool:
        try:
            connect(socket_path(self._home)).close()
        except OSError:
            return False
        return True


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    high = tuple(duplicate_above(end, LOWEST) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]


def _silence(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)


def _own_run_folder(home: str, roles: Roles) -> None:
    """Make run/, where qmail-queued has its socket; only root needs to."""
    folder = home + "/run"
    if not os.path.isdir(folder):
        files.make_directory(folder, 0o755)
    if os.geteuid() == 0:
        files.change_owner(folder, roles.qmailq.uid, roles.qmail_group)


def _drops(roles: Roles) -> dict[str, Drop]:
    """Return for each process what makes it the user it runs as. Raises TransientFailure."""
    if roles.private:
        owner = roles.owner

        def become_owner() -> None:
            drop_to(owner.uid, owner.gid, [owner.gid])

        return dict.fromkeys(("lspawn", "rspawn", "clean", "send", "log"), become_owner)
    qmail, nofiles = roles.qmail_group, roles.nofiles_group
    users = {
        "rspawn": (roles.qmailr.uid, qmail),
        "clean": (roles.qmailq.uid, qmail),
        "send": (roles.qmails.uid, qmail),
        "log": (roles.qmaill.uid, nofiles),
    }

    def drop(uid: int, gid: int) -> Drop:
        return lambda: drop_to(uid, gid, [gid])

    def stay_root() -> None:
        os.setgroups([qmail])
        os.setgid(qmail)

    return {"lspawn": stay_root} | {name: drop(*ids) for name, ids in users.items()}
