"""One attempt to log in: the password is looked at, unless too many attempts have failed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from pyqmail.errors import Failure
from pyqmail.login.guesses import Guesses
from pyqmail.login.sources import find_login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyqmail.login.sources import Login


class Verdict(Enum):
    """What became of an attempt."""

    ACCEPTED = auto()
    REFUSED = auto()
    UNDECIDED = auto()  # a source is in trouble, or too many attempts have failed: try later


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict. Whoever gets it tells it to the client not before `wait` seconds are over."""

    verdict: Verdict
    wait: float = 0.0
    login: Login | None = None


class Trial:
    """An attempt that has begun. Look at the password unless it is `blocked`, then `end()` it."""

    def __init__(self, home: str, address: bytes | None, name: bytes) -> None:
        self._start = time.monotonic()
        self._guesses = Guesses(home)
        self._who = address, name
        self._attempt = self._guesses.begin(address, name, time.time())

    @property
    def blocked(self) -> bool:
        """Have too many failed?"""
        return self._attempt.blocked

    def end(self, verdict: Verdict, login: Login | None = None) -> Outcome:
        """Remember the verdict; return it with what the client has to wait.

        Refusals take the same time, however quickly they were decided: nobody
        learns from that which names there are.
        """
        if self.blocked:
            return Outcome(verdict, self._attempt.delay)
        if verdict is Verdict.REFUSED:
            elapsed = time.monotonic() - self._start
            return Outcome(verdict, max(0.0, self._attempt.delay - elapsed))
        # An attempt that nobody could judge was no wrong guess either.
        self._guesses.withdraw(*self._who, time.time())
        if verdict is Verdict.ACCEPTED:
            self._guesses.befriend(*self._who, time.time())
        return Outcome(verdict, login=login)


def counted_address(environ: Mapping[bytes, bytes]) -> bytes | None:
    """Return the client's address, by which its failures are counted; None if they are not.

    MANYUSERS says that there are many users behind one address, whose failures shall not
    keep the others out: a web mailer, a proxy.
    """
    return None if b"MANYUSERS" in environ else environ.get(b"TCPREMOTEIP")


def attempt(
    home: str, address: bytes | None, name: bytes, password: bytes, timestamp: bytes = b""
) -> Outcome:
    """Try to log in as `name` with `password`; `address` is the client's, if it has one.

    With a timestamp, `password` may be APOP's digest of it.

    It may take a second: not for an event loop.
    """
    trial = Trial(home, address, name)
    if trial.blocked:
        return trial.end(Verdict.UNDECIDED)
    try:
        login = find_login(home, name, password, timestamp)
    except Failure:
        return trial.end(Verdict.UNDECIDED)
    return trial.end(Verdict.REFUSED if login is None else Verdict.ACCEPTED, login)
