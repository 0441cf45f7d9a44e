"""Checks of passwords for servers whose sessions are coroutines: AUTH of SMTP, and POP3.

What is asked is the command line of a checkpassword and a program, as it
stands after the host in `qmail-smtpd HOST checkpassword true`. If it is ours and
the program is `true`, nothing is started: the password is looked at in a thread, because the hash
takes its time and its memory on purpose; or, in a process that may not read passwords, by the
`keeper`. Any other is executed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Final

from pyqmail.control.launchers import LAUNCHER
from pyqmail.errors import Failure, TransientFailure
from pyqmail.login import offers, passwords, scram
from pyqmail.login.foreign import run_checkpassword
from pyqmail.login.trial import Outcome, Trial, Verdict, attempt, counted_address
from pyqmail.protocol.checkpassword import Credentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeVar

    Result = TypeVar("Result")

    from pyqmail.login.keeper import Keeper
    from pyqmail.login.passwords import ScramKeys
    from pyqmail.protocol.smtp.auth import DigestClaim, PasswordClaim


TIMEOUT: Final = 60  # seconds for a checkpassword that is executed
# Hashes at once in one process. More would not be faster, and each takes 19 MiB.
_THREADS: Final = 2
_DO_NOTHING: Final = ((b"true",), (b"/bin/true",), (b"/usr/bin/true",))

_TRY_LATER: Final = b"unable to check the password (#4.3.0)"


class Verifier:
    """Knows passwords on behalf of one session, whose variables `environ` are.

    The methods take as long as the client has to wait, and raise
    TransientFailure if nobody can say. `checks_digests` says of somebody else's
    program that it can take a challenge for the password and a digest for the
    timestamp, as in the well-known patch. Where we may not read passwords
    ourselves, a `keeper` is asked.
    """

    def __init__(  # noqa: PLR0913  what a session brings, and what its process has
        self,
        home: str,
        command: Sequence[bytes],
        environ: Mapping[bytes, bytes],
        *,
        checks_digests: bool = False,
        timeout: float = TIMEOUT,
        keeper: Keeper | None = None,
    ) -> None:
        self._home = home
        self._command = command
        self._environ = environ
        self._checks_digests = checks_digests
        self._timeout = timeout
        self._keeper = keeper
        self._address = counted_address(environ)
        self._ours = is_ours(command[0], environ) if command else False
        self._in_process = is_ours_alone(command, environ)

    @property
    def mechanisms(self) -> tuple[bytes, ...]:
        """SASL mechanisms that work for every user there is, the best first."""
        if self._in_process and self._keeper is not None:
            return offers.WITH_PASSWORD  # what the others need must not leave the keeper
        if self._in_process:
            return offers.mechanisms(self._home)
        return (b"CRAM-MD5",) * self._checks_digests + offers.WITH_PASSWORD

    async def verify_password(self, claim: PasswordClaim) -> bool:
        """Ask whether the password is right."""
        return await self.check(Credentials(claim.login, claim.password))

    async def check(self, credentials: Credentials) -> bool:
        """Ask whether credentials are right; those of APOP have a challenge as timestamp."""
        if self._in_process:
            return await _settle(await self._attempt(credentials))
        if self._ours:  # it counts, and lets us wait, itself
            return await _settle(Outcome(await self._run(credentials)))
        return await self._try(credentials.name, lambda: self._run(credentials))

    async def _attempt(self, claim: Credentials) -> Outcome:
        if self._keeper is not None:
            return await self._keeper.ask(self._address, claim.name, claim.password)
        said = claim.name, claim.password, claim.timestamp
        return await _in_thread(lambda: attempt(self._home, self._address, *said))

    async def verify_digest(self, claim: DigestClaim) -> bool:
        """Ask whether the digest is right."""
        if not self._ours:
            return await self.check(Credentials(claim.login, claim.challenge, claim.digest))

        async def look() -> Verdict:
            entry = passwords.find_entry(self._home, claim.login)
            secret = None if entry is None else entry.secret
            digest = hmac.new(secret or b"", claim.challenge, hashlib.md5).hexdigest().encode()
            fits = hmac.compare_digest(digest, claim.digest)
            return Verdict.ACCEPTED if fits and secret else Verdict.REFUSED

        return await self._try(claim.login, look)

    async def find_keys(self, login: bytes) -> ScramKeys:
        """Return what SCRAM-SHA-256 needs to know of a user.

        For one that is unknown, keys that no password fits, and always the same.
        """
        return scram.find_keys(self._home, login)

    async def note_refusal(self, login: bytes) -> None:
        """Count a failed SCRAM exchange, and let the client wait."""

        async def look() -> Verdict:
            return Verdict.REFUSED

        await self._try(login, look)

    async def _run(self, credentials: Credentials) -> Verdict:
        return await run_checkpassword(self._command, credentials, self._environ, self._timeout)

    async def _try(self, name: bytes, look: Callable[[], Awaitable[Verdict]]) -> bool:
        trial = await _in_thread(lambda: Trial(self._home, self._address, name))
        verdict = Verdict.UNDECIDED
        if not trial.blocked:
            try:
                verdict = await look()
            except Failure:
                verdict = Verdict.UNDECIDED
        return await _settle(await _in_thread(lambda: trial.end(verdict)))


def is_ours(program: bytes, environ: Mapping[bytes, bytes]) -> bool:
    """Ask whether `program`, a path or looked for in PATH, is our checkpassword.

    So it is too where there is none at all.
    """
    if os.path.basename(program) != b"checkpassword":
        return False
    folders = [b""] if b"/" in program else environ.get(b"PATH", b"").split(b":")
    for folder in folders:
        path = os.path.join(folder, program)
        if os.path.lexists(path):
            return os.path.islink(path) and os.path.basename(os.readlink(path)) == LAUNCHER.encode()
    return True


def is_ours_alone(command: Sequence[bytes], environ: Mapping[bytes, bytes]) -> bool:
    """Ask whether `command` is our checkpassword, and nothing is to be run for the user."""
    if not command or tuple(command[1:]) not in _DO_NOTHING:
        return False
    return is_ours(command[0], environ)


async def _settle(outcome: Outcome) -> bool:
    """Let the client wait as long as it must; return whether it is who it says."""
    await asyncio.sleep(outcome.wait)
    if outcome.verdict is Verdict.UNDECIDED:
        raise TransientFailure(_TRY_LATER)
    return outcome.verdict is Verdict.ACCEPTED


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, "password")


async def _in_thread(function: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_threads(), function)
