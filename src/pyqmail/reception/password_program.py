"""A password store behind a program with the interface of checkpassword(8).

The program reads login, password and a third field from descriptor 3. For
CRAM-MD5 these are login, challenge and digest, as in the well-known patch; only
some programs can do that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyqmail.protocol.smtp.auth import DigestClaim, PasswordClaim, ScramKeys

MAX_FIELDS: Final = 512  # bytes; checkpassword(8) reads no more

_RIGHT: Final = 0
_WRONG: Final = 1


@dataclass(frozen=True, slots=True)
class PasswordProgram:
    """A Verifier. `run` starts the program, these bytes on descriptor 3, and gives its exit code.

    It raises TransientFailure if the program cannot be started or crashes.
    """

    run: Callable[[bytes], Awaitable[int]]
    checks_digests: bool = False

    @property
    def mechanisms(self) -> tuple[bytes, ...]:
        """What such a program can answer for."""
        return (b"CRAM-MD5",) * self.checks_digests + (b"PLAIN", b"LOGIN")

    async def verify_password(self, claim: PasswordClaim) -> bool:
        """Ask the program."""
        return await self._ask(claim.login, claim.password, b"")

    async def verify_digest(self, claim: DigestClaim) -> bool:
        """Ask the program."""
        return await self._ask(claim.login, claim.challenge, claim.digest)

    async def find_keys(self, _login: bytes) -> ScramKeys:
        """Fail: a program that only says yes or no has no keys to give."""
        raise TransientFailure(b"the password program has no keys")

    async def note_refusal(self, _login: bytes) -> None:
        """Do nothing: without keys there is no such refusal."""

    async def _ask(self, *fields: bytes) -> bool:
        text = b"".join(field + b"\0" for field in fields)
        if len(text) > MAX_FIELDS:
            return False
        code = await self.run(text)
        if code not in (_RIGHT, _WRONG):
            raise TransientFailure(b"the password program ended with %d" % code)
        return code == _RIGHT
