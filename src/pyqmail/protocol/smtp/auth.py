"""Authentication (SASL, RFC 4422) as SMTP carries it, without I/O: who says he is who?

An exchange is made for one AUTH command. `receive()` takes what the client
says and returns the next step: a challenge for the client, or a question that
only a password store can answer. What the store is, is not known here; chance
comes from the caller.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_LOGIN: Final = 899  # bytes; as an address
_DIGEST: Final = re.compile(rb"[0-9a-f]{32}")
# Printable, no comma, and short enough for a line of ours.
_NONCE: Final = re.compile(rb"r=[!-+\--~]{1,512}")
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
    """SCRAM-SHA-256 (RFC 7677), without channel binding.

    The arithmetic is ours because no library lets a client name himself twice,
    as clients built on GNU SASL do: `n,a=joe,n=joe,r=…`.
    """

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce.encode()
        self.login = b""  # as soon as it is said
        self._first: _ClientFirst | None = None
        self._keys: ScramKeys | None = None
        self._server_first = b""
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
        if self._first is None or self._keys is None:
            self._first = _ClientFirst.parse(response)
            self.login = self._first.login
            return KeysWanted(self.login)
        answer = self._check_proof(response, self._first, self._keys)
        self._proven = True
        return Challenge(answer)

    def take_keys(self, keys: ScramKeys) -> Step:
        """Return the challenge that follows the client's first message."""
        assert self._first is not None  # its login is what the keys were asked for
        self._keys = keys
        self._nonce = self._first.nonce + self._nonce
        salt = b64encode(keys.salt)
        self._server_first = b"r=%b,s=%b,i=%d" % (self._nonce, salt, keys.iterations)
        return Challenge(self._server_first)

    def _check_proof(self, final: bytes, first: _ClientFirst, keys: ScramKeys) -> bytes:
        """Return our own proof if the client's is right (RFC 5802 §3)."""
        unproven, _, proof = final.rpartition(b",p=")
        if unproven != b"c=%b,r=%b" % (b64encode(first.gs2_header), self._nonce):
            raise AuthenticationRefused
        spoken = b",".join((first.bare, self._server_first, unproven))
        client_key = _exclusive_or(_decode(proof), _hmac(keys.stored_key, spoken))
        if not compare_digest(sha256(client_key).digest(), keys.stored_key):
            raise AuthenticationRefused
        return b"v=" + b64encode(_hmac(keys.server_key, spoken))


@dataclass(frozen=True, slots=True)
class _ClientFirst:
    """What a client of SCRAM begins with: `gs2-header n=name,r=nonce`."""

    gs2_header: bytes
    bare: bytes
    login: bytes
    nonce: bytes

    @classmethod
    def parse(cls, message: bytes) -> _ClientFirst:
        try:
            binding, identity, name, nonce, *_extensions = message.split(b",")
        except ValueError as error:
            raise MalformedResponse from error
        if binding.startswith(b"p="):
            raise AuthenticationRefused
        # `y`: the client could bind to the channel and thinks that we cannot. We cannot.
        # An extension that must be understood would stand where the name is.
        if binding not in (b"n", b"y") or not name.startswith(b"n=") or not _NONCE.fullmatch(nonce):
            raise MalformedResponse
        login = _unescape(name[2:])
        if not _is_name(login):
            raise MalformedResponse
        if identity:
            _check_identity(_unescape(identity.removeprefix(b"a=")), login)
        gs2_header = binding + b"," + identity + b","
        return cls(gs2_header, message[len(gs2_header) :], login, nonce[2:])


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _exclusive_or(one: bytes, other: bytes) -> bytes:
    if len(one) != len(other):
        raise AuthenticationRefused
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _decode(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise AuthenticationRefused from error


def _unescape(name: bytes) -> bytes:
    return _SCRAM_ESCAPE.sub(lambda escape: b"," if escape[1] == b"2C" else b"=", name)


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
