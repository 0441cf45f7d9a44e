"""Who the client is: AUTH in an SMTP session, by a store that somebody else keeps."""

from __future__ import annotations

import base64
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.errors import Failure
from pyqmail.protocol.smtp.auth import (
    AuthenticationRefused,
    Challenge,
    DigestClaim,
    KeysWanted,
    MalformedResponse,
    PasswordClaim,
    Proven,
    ScramSha256,
    Verifier,
    new_exchange,
)
from pyqmail.protocol.smtp.reply import AUTH_MALFORMED, Reply, reply
from pyqmail.protocol.smtp.states import CONTINUE_AUTHENTICATION
from pyqmail.reception.replies import AUTH_FAILED, AUTH_UNAVAILABLE, AUTH_UNKNOWN, AUTHENTICATED

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyqmail.protocol.smtp.auth import Exchange, Step

MAX_FAILURES: Final = 5  # of one session; what guessing costs beyond it is the store's business


class Authentication:
    """The exchanges of one session; `login` is set once one has succeeded."""

    def __init__(self, verifier: Verifier, host: bytes) -> None:
        self._verifier = verifier
        self._host = host
        self._exchange: Exchange | None = None
        self.login: bytes | None = None
        self.failures = 0

    @property
    def mechanisms(self) -> tuple[bytes, ...]:
        """What is offered."""
        return self._verifier.mechanisms

    async def begin(self, mechanism: bytes, initial: bytes | None) -> Reply:
        """Answer AUTH."""
        exchange = None
        if mechanism in self.mechanisms:
            exchange = new_exchange(mechanism, self._host, secrets.token_hex(16), int(time.time()))
        if exchange is None:
            return AUTH_UNKNOWN
        self._exchange = exchange
        return await self._take(lambda: exchange.begin(initial))

    async def go_on(self, response: bytes) -> Reply:
        """Answer what the client says to a challenge."""
        exchange = self._exchange
        assert exchange is not None  # a challenge was sent
        return await self._take(lambda: exchange.receive(response))

    async def _take(self, advance: Callable[[], Step]) -> Reply:
        try:
            step = advance()
            if isinstance(step, KeysWanted):
                step = await self._find_keys(step.login)
            if isinstance(step, Challenge):
                return reply(CONTINUE_AUTHENTICATION, base64.b64encode(step.data))
            return await self._settle(step)
        except MalformedResponse:
            return AUTH_MALFORMED
        except AuthenticationRefused:
            self.failures += 1
            await self._note_refusal()
            return AUTH_FAILED
        except Failure:
            return AUTH_UNAVAILABLE

    async def _note_refusal(self) -> None:
        """Let the store know of a failure that it did not see."""
        if isinstance(self._exchange, ScramSha256) and self._exchange.login:
            with suppress(Failure):
                await self._verifier.note_refusal(self._exchange.login)

    async def _find_keys(self, login: bytes) -> Step:
        assert isinstance(self._exchange, ScramSha256)  # no other wants keys
        return self._exchange.take_keys(await self._verifier.find_keys(login))

    async def _settle(self, step: Step) -> Reply:
        match step:
            case PasswordClaim(login):
                right = await self._verifier.verify_password(step)
            case DigestClaim(login):
                right = await self._verifier.verify_digest(step)
            case Proven(login):
                right = True
            case _:
                raise AssertionError("challenges and questions are answered before")
        if not right:
            raise AuthenticationRefused
        self.login = login
        return AUTHENTICATED
