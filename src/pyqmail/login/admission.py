"""One admission: in a process of its own a password is looked at, then its user's session held."""

from __future__ import annotations

import fcntl
import marshal
import os
import secrets
import time
from dataclasses import astuple
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TRANSIENT, Failure
from pyqmail.login.guesses import MIN_DELAY
from pyqmail.login.passwords import find_entry
from pyqmail.login.scram import find_keys
from pyqmail.login.session import REFUSED, become_user, enter
from pyqmail.login.sources import Login, login_of
from pyqmail.login.trial import Outcome, Trial, Verdict, attempt, counted_address
from pyqmail.protocol.admission import CHALLENGE, COME_IN, MAX_PACKET, PASSWORD, RESPONSE
from pyqmail.protocol.smtp.auth import (
    AuthenticationRefused,
    Challenge,
    KeysWanted,
    MalformedResponse,
    Proven,
    ScramSha256,
)
from pyqmail.system import processes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pyqmail.login.porter import Plan
    from pyqmail.protocol.admission import Request

_CREDENTIALS: Final = 3  # the descriptor of a checkpassword


class _LeftError(Exception):
    """The client has gone away in the middle of an exchange."""


class Admission:
    """What `request` wants, for the `connection`; the `talk` is with the front.

    `turn` is a descriptor of a file that is locked while a password is looked at.
    """

    def __init__(
        self, plan: Plan, request: Request, talk: socket.socket, connection: int, turn: int
    ) -> None:
        self._plan = plan
        self._request = request
        self._talk = talk
        self._connection = connection
        self._turn = turn
        self._environ = plan.environ_of(request)

    def settle(self) -> int:
        """Return the exit status of the session, as a checkpassword's; `-N` for signal N."""
        if not self._plan.checks_itself:
            return self._run_somebody_elses()
        # The passwords of all users pass through the memory of whoever looks at one. So that is a
        # child of ours: the session of a user, in this process, has never seen them.
        outcome = _ask_a_child(self._judge)
        time.sleep(outcome.wait)
        if outcome.login is None:
            return REFUSED if outcome.verdict is Verdict.REFUSED else TRANSIENT
        self._talk.send(COME_IN)
        return self._hold_session(outcome.login)

    def _hold_session(self, login: Login) -> int:
        if self._plan.session is None:
            return self._run_program(login)
        try:
            environ = become_user(login, self._environ)
        except PermissionError:
            return REFUSED
        except OSError:
            return TRANSIENT
        processes.set_title(f"qmail-pop3d {os.fsdecode(login.user)}")
        return self._plan.session(environ, self._connection)

    def _run_program(self, login: Login) -> int:
        """Run the program behind our checkpassword, as the user."""
        pid = os.fork()
        if pid == 0:
            code = TRANSIENT
            try:
                os.dup2(self._connection, 0)
                os.dup2(self._connection, 1)
                code = enter(login, self._plan.command[1:], self._environ)
            finally:
                os._exit(code)
        return _exit_status(processes.wait_for(pid))

    # A checkpassword of somebody else.

    def _run_somebody_elses(self) -> int:
        reading, writing = os.pipe()
        # As long as the client made it, as ever. A pipe has room for a packet; pipe(7).
        os.write(writing, b"".join(field + b"\0" for field in self._request.fields))
        os.close(writing)
        moves = [(reading, _CREDENTIALS)]
        command = list(self._plan.command)
        connection = self._connection
        try:
            pid = processes.start_by_name(
                command, self._environ, connection, connection, more=moves
            )
        except OSError:
            return REFUSED  # as ever
        return _exit_status(processes.wait_for(pid))

    # Our own.

    def _judge(self) -> Outcome:
        address = counted_address(self._environ)
        try:
            if self._request.kind == PASSWORD:
                self._take_turn()
                return attempt(self._plan.home, address, *self._request.fields)
            return self._judge_exchange(address)
        except _LeftError:
            return Outcome(Verdict.REFUSED)
        except (Failure, ValueError):
            return Outcome(Verdict.UNDECIDED)

    def _take_turn(self) -> None:
        """Wait while many look at passwords. The turn ends with this process."""
        own = os.open(f"/proc/self/fd/{self._turn}", os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(own, fcntl.LOCK_EX)

    # SCRAM-SHA-256. The keys stay here; the front only carries what is said.

    def _judge_exchange(self, address: bytes | None) -> Outcome:
        _mechanism, *initial = self._request.fields
        exchange = ScramSha256(secrets.token_hex(16))
        trial: Trial | None = None
        try:
            step = exchange.begin(initial[0] if initial else None)
            while not isinstance(step, Proven):
                if isinstance(step, KeysWanted):
                    trial = Trial(self._plan.home, address, step.login)
                    if trial.blocked:
                        return trial.end(Verdict.UNDECIDED)
                    step = exchange.take_keys(find_keys(self._plan.home, step.login))
                assert isinstance(step, Challenge)  # SCRAM has no other steps
                step = exchange.receive(self._ask_client(step.data))
        except (MalformedResponse, AuthenticationRefused):
            if trial is None:
                return Outcome(Verdict.REFUSED, MIN_DELAY)
            return trial.end(Verdict.REFUSED)
        assert trial is not None  # nothing is proven without keys
        return self._end_proven(trial, step.login)

    def _end_proven(self, trial: Trial, name: bytes) -> Outcome:
        try:
            entry = find_entry(self._plan.home, name)
            login = login_of(self._plan.home, name if entry is None else entry.name)
        except Failure:
            return trial.end(Verdict.UNDECIDED)
        return trial.end(Verdict.ACCEPTED, login)

    def _ask_client(self, challenge: bytes) -> bytes:
        self._talk.send(CHALLENGE + challenge)
        said = self._talk.recv(MAX_PACKET)
        if not said:
            raise _LeftError
        return said.removeprefix(RESPONSE)


def _ask_a_child(judge: Callable[[], Outcome]) -> Outcome:
    """Return what a child finds out; UNDECIDED if it dies."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = TRANSIENT
        try:
            outcome = judge()
            login = None if outcome.login is None else astuple(outcome.login)
            os.write(writing, marshal.dumps((outcome.verdict.name, outcome.wait, login)))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    processes.wait_for(pid)
    if not said:
        return Outcome(Verdict.UNDECIDED)
    verdict, wait, login = marshal.loads(said)  # noqa: S302  our own child's words
    return Outcome(Verdict[verdict], wait, None if login is None else Login(*login))


def _exit_status(status: int) -> int:
    return -(status & 127) if processes.crashed(status) else processes.exit_code(status)
