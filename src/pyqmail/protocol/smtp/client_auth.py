"""Authentication (SASL, RFC 4422) as a client of SMTP carries it out (RFC 4954), without I/O.

What a server says is bounded by the reader of its replies; what it makes us
compute is bounded here.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

GIVE_UP: Final = b"*"  # RFC 4954 §4: the server answers 501
# Of SCRAM. The servers that we know ask for 4096 to 15000, and 100000 cost 50 ms.
MAX_ITERATIONS: Final = 100_000


class _Unacceptable(Exception):  # noqa: N818  the exchange ends with it
    """What the server says does not belong to the mechanism."""


class ClientExchange(Protocol):
    """One run of a mechanism. `over` is that there is nothing more to be asked."""

    over: bool

    @property
    def satisfied(self) -> bool:
        """Has the server proved what it has to, if it says that we are logged in?"""

    def command(self) -> bytes:
        """Return the command that begins it."""

    def respond(self, challenge: bytes) -> bytes:
        """Return the line that answers a challenge, both in base64; `*` gives up."""


class _Exchange:
    """What is the same for all mechanisms: base64, and giving up."""

    mechanism: bytes
    over = False

    @property
    def satisfied(self) -> bool:
        """Has the server proved what it has to?"""
        return True

    def command(self) -> bytes:
        """Return the command that begins it."""
        initial = self._initial()
        if initial is None:
            return b"AUTH " + self.mechanism
        return b"AUTH %b %b" % (self.mechanism, b64encode(initial) or b"=")

    def respond(self, challenge: bytes) -> bytes:
        """Return the line that answers a challenge."""
        try:
            return b64encode(self._answer(b64decode(challenge.strip(), validate=True)))
        except (_Unacceptable, ValueError):
            self.over = True
            return GIVE_UP

    def _initial(self) -> bytes | None:
        return None

    def _answer(self, challenge: bytes) -> bytes:
        raise NotImplementedError


class Plain(_Exchange):
    """PLAIN (RFC 4616)."""

    mechanism = b"PLAIN"

    def __init__(self, login: bytes, password: bytes) -> None:
        self._response = b"\0%b\0%b" % (login, password)

    def _initial(self) -> bytes:
        return self._response

    def _answer(self, challenge: bytes) -> bytes:
        if challenge:
            raise _Unacceptable
        return self._response  # to a server that does not take it with the command


class Login(_Exchange):
    """LOGIN, which no standard describes. What the challenges say differs; their order does not."""

    mechanism = b"LOGIN"

    def __init__(self, login: bytes, password: bytes) -> None:
        self._responses = [login, password]

    def _answer(self, challenge: bytes) -> bytes:
        if not self._responses:
            raise _Unacceptable
        del challenge
        return self._responses.pop(0)


class CramMd5(_Exchange):
    """CRAM-MD5 (RFC 2195)."""

    mechanism = b"CRAM-MD5"

    def __init__(self, login: bytes, password: bytes) -> None:
        self._login = login
        self._password = password

    def _answer(self, challenge: bytes) -> bytes:
        return self._login + b" " + hmac.new(self._password, challenge, "md5").hexdigest().encode()


class ScramSha256(_Exchange):
    """SCRAM-SHA-256 (RFC 7677), without channel binding. The server must prove itself, too."""

    mechanism = b"SCRAM-SHA-256"

    def __init__(self, login: bytes, password: bytes) -> None:
        from scramp import ScramClient, ScramException  # noqa: PLC0415  only who logs in pays

        try:
            self._client = ScramClient([self.mechanism.decode()], login.decode(), password.decode())
        except ScramException as error:  # RFC 4013: not everything is a name or a password
            raise ValueError(str(error)) from error
        self._steps = [self._first, self._last]
        self._proven = False

    @property
    def satisfied(self) -> bool:
        """Has the server proved that it knows the password?"""
        return self._proven

    def _initial(self) -> bytes:
        return str(self._client.get_client_first()).encode()

    def _answer(self, challenge: bytes) -> bytes:
        if not self._steps:
            raise _Unacceptable
        return self._steps.pop(0)(challenge.decode())

    def _first(self, challenge: str) -> bytes:
        self._attend(self._client.set_server_first, challenge)
        if not 0 < int(self._client.iterations) <= MAX_ITERATIONS:
            raise _Unacceptable
        return str(self._client.get_client_final()).encode()

    def _last(self, challenge: str) -> bytes:
        self._attend(self._client.set_server_final, challenge)
        self._proven = True
        return b""

    def _attend(self, hear: Callable[[str], None], challenge: str) -> None:
        from scramp import ScramException  # noqa: PLC0415  see __init__

        try:
            hear(challenge)
        except (ScramException, KeyError, IndexError) as error:
            raise _Unacceptable from error


# The less of the password is given away, the better.
_MECHANISMS: Final[Mapping[bytes, Callable[[bytes, bytes], ClientExchange]]] = {
    b"SCRAM-SHA-256": ScramSha256,
    b"CRAM-MD5": CramMd5,
    b"PLAIN": Plain,
    b"LOGIN": Login,
}


def choose_exchange(
    offered: Collection[bytes], login: bytes, password: bytes
) -> ClientExchange | None:
    """Return the best exchange that the server knows; None if it knows none of ours."""
    for name, make in _MECHANISMS.items():
        if name in offered:
            with suppress(ValueError):  # a password that this mechanism cannot have
                return make(login, password)
    return None
