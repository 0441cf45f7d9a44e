"""Authentication (SASL, RFC 4422) as SMTP carries it, without I/O: who says he is who?

An exchange is made for one AUTH command. `receive()` takes what the client
says and returns the next step: a challenge for the client, or a question that
only a password store can answer. What the store is, is not known here; chance
comes from the caller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scramp.core import ScramServer

MAX_LOGIN: Final = 899  # bytes; as an address
_DIGEST: Final = re.compile(rb"[0-9a-f]{32}")
_SCRAM_ESCAPE: Final = re.compile(rb"=(2C|3D)")


class MalformedResponse(Exception):  # noqa: N818  RFC 4954 §4 says malformed
    """The client does not keep to the mechanism."""


class AuthenticationRefused(Exception):  # noqa: N818  it is what SASL calls an outcome
    """The client is not who it says."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """To be sent to the client, whose answer goes to `receive()`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PasswordClaim:
    """The client is `login` if `password` is his. The exchange is over."""

    login: bytes
    password: bytes


@dataclass(frozen=True, slots=True)
class DigestClaim:
    """The client is `login` if HMAC-MD5 of `challenge` under his password is `digest`, in hex."""

    login: bytes
    challenge: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class KeysWanted:
    """Give the keys of `login` to `take_keys()`."""

    login: bytes


@dataclass(frozen=True, slots=True)
class Proven:
    """The client is `login`. The exchange is over."""

    login: bytes


Step = Challenge | PasswordClaim | DigestClaim | KeysWanted | Proven


class ScramKeys(Protocol):
    """What a store keeps of a password for SCRAM-SHA-256 (RFC 5802 §3, RFC 7677)."""

    @property
    def salt(self) -> bytes:
        """Return random bytes of the user's own."""

    @property
    def stored_key(self) -> bytes:
        """Return what the client's proof is compared with."""

    @property
    def server_key(self) -> bytes:
        """Return what the server proves itself with."""

    @property
    def iterations(self) -> int:
        """Return how often the password was hashed."""


class Verifier(Protocol):
    """A password store, as whoever holds an exchange asks it.

    Every method may take its time, and raises TransientFailure if the store
    cannot say. `mechanisms` are those that it can answer for.
    """

    @property
    def mechanisms(self) -> tuple[bytes, ...]:
        """Names of mechanisms, in capitals, in the order in which they are offered."""

    async def verify_password(self, claim: PasswordClaim) -> bool:
        """Is it so? Needed for PLAIN and LOGIN."""

    async def verify_digest(self, claim: DigestClaim) -> bool:
        """Is it so? Needed for CRAM-MD5."""

    async def find_keys(self, login: bytes) -> ScramKeys:
        """Return the keys of `login`, for SCRAM-SHA-256.

        For a login that is unknown, always the same ones that no password
        fits: what the answer looks like must not tell who exists.
        """

    async def note_refusal(self, login: bytes) -> None:
        """Take note that `login` did not fit its keys, and take the time that guessing costs."""


class Exchange(Protocol):
    """One run of a mechanism."""

    def begin(self, initial: bytes | None) -> Step:
        """Take the initial response, if there was one. Raises as `receive()` does."""

    def receive(self, response: bytes) -> Step:
        """Take what the client says. Raises MalformedResponse or AuthenticationRefused."""


class Plain:
    """PLAIN (RFC 4616)."""

    def begin(self, initial: bytes | None) -> Step:
        """Ask with an empty challenge unless all is said."""
        return Challenge(b"") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Take `authzid NUL login NUL password`."""
        try:
            identity, login, password = response.split(b"\0")
        except ValueError as error:
            raise MalformedResponse from error
        _check_identity(identity, login)
        return _password_claim(login, password)


class Login:
    """LOGIN, which no standard describes and every client speaks."""

    def __init__(self) -> None:
        self._login: bytes | None = None

    def begin(self, initial: bytes | None) -> Step:
        """Ask for the name, unless it is said."""
        return Challenge(b"Username:") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Take the name, then the password."""
        if self._login is not None:
            return _password_claim(self._login, response)
        self._login = response
        return Challenge(b"Password:")


class CramMd5:
    """CRAM-MD5 (RFC 2195); `challenge` must never have been one before."""

    def __init__(self, challenge: bytes) -> None:
        self._challenge = challenge

    def begin(self, initial: bytes | None) -> Step:
        """Send the challenge; the client cannot have answered it."""
        if initial is not None:
            raise MalformedResponse
        return Challenge(self._challenge)

    def receive(self, response: bytes) -> Step:
        """Take `login SPACE digest`."""
        login, _, digest = response.rpartition(b" ")
        if not _is_name(login) or not _DIGEST.fullmatch(digest):
            raise MalformedResponse
        return DigestClaim(login, self._challenge, digest)


class ScramSha256:
    """SCRAM-SHA-256 (RFC 7677), without channel binding."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self.login = b""  # as soon as it is said
        self._client_first = ""
        self._server: ScramServer | None = None
        self._proven = False

    def begin(self, initial: bytes | None) -> Step:
        """Ask with an empty challenge unless the client has begun."""
        return Challenge(b"") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Take the client's first message, its last, then its consent to ours."""
        if self._proven:
            if response:
                raise MalformedResponse
            return Proven(self.login)
        text = _decode(response)
        if self._server is None:
            self._client_first = text
            self.login = _login_of(response)
            return KeysWanted(self.login)
        self._say(self._server.set_client_final, text)
        self._proven = True
        return Challenge(self._server.get_server_final().encode())

    def take_keys(self, keys: ScramKeys) -> Step:
        """Return the challenge that follows the client's first message."""
        # Imported here: it takes as long as all the rest, and few clients need it.
        from scramp import ScramMechanism  # noqa: PLC0415

        parts = (keys.salt, keys.stored_key, keys.server_key, keys.iterations)
        mechanism = ScramMechanism("SCRAM-SHA-256")
        server = self._server = mechanism.make_server(lambda _login: parts, s_nonce=self._nonce)
        self._say(server.set_client_first, self._client_first)
        return Challenge(server.get_server_first().encode())

    def _say(self, method: Callable[[str], object], text: str) -> None:
        from scramp import ScramException  # noqa: PLC0415

        try:
            method(text)
        except ScramException as error:
            raise AuthenticationRefused from error


def _login_of(client_first: bytes) -> bytes:
    """Return the name in `gs2-header n=name,r=nonce`."""
    parts = client_first.split(b",")
    if len(parts) < 4 or not parts[2].startswith(b"n="):  # noqa: PLR2004  the parts above
        raise MalformedResponse
    login = _unescape(parts[2][2:])
    if not _is_name(login):
        raise MalformedResponse
    if parts[1]:
        _check_identity(_unescape(parts[1].removeprefix(b"a=")), login)
    return login


def _unescape(name: bytes) -> bytes:
    return _SCRAM_ESCAPE.sub(lambda escape: b"," if escape[1] == b"2C" else b"=", name)


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise MalformedResponse from error


def _password_claim(login: bytes, password: bytes) -> PasswordClaim:
    if not _is_name(login) or not password or b"\0" in password:
        raise MalformedResponse
    return PasswordClaim(login, password)


def _is_name(login: bytes) -> bool:
    return 0 < len(login) <= MAX_LOGIN and not any(byte in login for byte in b"\0\r\n")


def _check_identity(identity: bytes, login: bytes) -> None:
    """Refuse who wants to act as somebody else: nobody may."""
    if identity not in (b"", login):
        raise AuthenticationRefused


def new_exchange(mechanism: bytes, host: bytes, chance: str, now: int) -> Exchange | None:
    """Return an exchange; None for a mechanism that is not known.

    `chance` is text of letters and digits that nobody can guess.
    """
    makers: Mapping[bytes, Callable[[], Exchange]] = {
        b"PLAIN": Plain,
        b"LOGIN": Login,
        b"CRAM-MD5": lambda: CramMd5(b"<%b.%d@%b>" % (chance.encode(), now, host)),
        b"SCRAM-SHA-256": lambda: ScramSha256(chance),
    }
    make = makers.get(mechanism)
    return None if make is None else make()
