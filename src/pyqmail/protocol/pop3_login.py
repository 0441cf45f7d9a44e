"""The server side of POP3 before anybody has logged in, without I/O.

RFC 1939 §4; where the session has extensions also RFC 2449 (CAPA), RFC 2595 (STLS), RFC 5034
(AUTH), RFC 6856 (UTF8) and RFC 3206 (response codes). A client that never says CAPA sees the
texts of qmail-popup(8), byte for byte.
"""

from __future__ import annotations

import binascii

from pyqmail.protocol.pop3 import LINE_TOO_LONG, OK, CommandReader, error, parse_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from pyqmail.protocol.pop3 import Command

# Commands that lead nowhere, of one client. Who says more is no client.
MAX_IDLE_COMMANDS: Final = 100

FAILED: Final = b"authorization failed"
CRASHED: Final = b"aack, child crashed"
UNAVAILABLE: Final = b"unable to check the password"  # for now
NO_MECHANISM: Final = b"no such mechanism"
NO_TLS: Final = b"no TLS here"

_FIRST: Final = error(b"authorization first")
_SYNTAX: Final = error(b"syntax error")
_NEEDS_TLS: Final = error(b"no passwords in the clear here: say STLS first")
_CANCELLED: Final = error(b"cancelled")
_ENOUGH: Final = error(b"too many commands")
_BEGIN_TLS: Final = b"+OK begin TLS now\r\n"

# Response codes, for who has asked what we can: RFC 2449 §8, RFC 3206.
AUTH: Final = b"[AUTH] "
TRANSIENT: Final = b"[SYS/TEMP] "

# True in every session with extensions, before and after the login.
COMMON_CAPABILITIES: Final = (
    b"TOP",
    b"UIDL",
    b"PIPELINING",
    b"RESP-CODES",
    b"AUTH-RESP-CODE",
    b"EXPIRE NEVER",
    b"UTF8",
    b"IMPLEMENTATION pyqmail",
)


def capability_list(lines: Sequence[bytes]) -> bytes:
    """Return the answer to CAPA."""
    return b"".join([OK, *(line + b"\r\n" for line in lines), b".\r\n"])


class Offer:
    """What a client may do: use extensions, begin TLS, send a password as it is."""

    __slots__ = ("extensions", "passwords", "tls")

    def __init__(self, *, extensions: bool, tls: bool, passwords: bool) -> None:
        self.extensions = extensions
        self.tls = tls
        self.passwords = passwords


class Event:
    """Something that the session cannot answer itself."""

    __slots__ = ()


class LogIn(Event):
    """The client is `name` if `password` is his, or (APOP) what he makes of the challenge."""

    __slots__ = ("name", "password")

    def __init__(self, name: bytes, password: bytes) -> None:
        self.name = name
        self.password = password


class Authenticate(Event):
    """The client wants to show who it is by a SASL mechanism; `initial` may be None."""

    __slots__ = ("initial", "mechanism")

    def __init__(self, mechanism: bytes, initial: bytes | None) -> None:
        self.mechanism = mechanism
        self.initial = initial


class Response(Event):
    """What the client says to the challenge of its mechanism."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class StartTls(Event):
    """The client wants TLS: call `begin_tls()` or `refuse()`."""

    __slots__ = ()


class AskCapabilities(Event):
    """The client wants to know what we can: call `tell_capabilities()`."""

    __slots__ = ()


class LoginSession:
    """One client on its way in.

    `receive_data()` takes what it said; `next_event()` gives what is to be decided, None
    if more bytes are needed or the session is `closed`; `data_to_send()` is for the client.
    What came behind a login is the next program's: `take_rest()`.
    """

    def __init__(self, challenge: bytes, offer: Offer) -> None:
        self.offer = offer
        self.closed = False
        self.has_asked = False  # what we can; so it knows response codes
        self._commands = CommandReader()
        self._output = [b"+OK " + challenge + b"\r\n"]
        self._user: bytes | None = None
        self._in_exchange = False
        self._idle_commands = 0

    def receive_data(self, data: bytes) -> None:
        """Add what arrived."""
        self._commands.feed(data)

    def data_to_send(self) -> bytes:
        """Return what is to be sent now."""
        output, self._output = self._output, []
        return b"".join(output)

    def take_rest(self) -> bytes:
        """Return what has come and is no command of ours."""
        return self._commands.take_rest()

    def next_event(self) -> Event | None:
        """Return what only others can answer; answer all else."""
        while not self.closed:
            try:
                line = self._commands.next_line()
            except ValueError:
                self._in_exchange = False
                self._output.append(error(LINE_TOO_LONG))
                self._note_idleness()
                continue
            if line is None:
                return None
            event = self._take_response(line) if self._in_exchange else self._obey(line)
            if event is not None:
                return event
        return None

    # Answers to events.

    def refuse(self, text: bytes, code: bytes = b"") -> None:
        """Refuse what the client wants; `code` is for those who know such."""
        self._in_exchange = False
        self._output.append(error((code if self.has_asked else b"") + text))

    def challenge(self, data: bytes) -> None:
        """Let the client answer `data`."""
        self._in_exchange = True
        self._output.append(b"+ " + binascii.b2a_base64(data, newline=False) + b"\r\n")

    def begin_tls(self) -> None:
        """Agree to TLS. Whatever the client has said in the clear is forgotten (RFC 2595 §4)."""
        self._output.append(_BEGIN_TLS)
        self._commands.take_rest()
        self._user = None
        self.has_asked = False

    def tell_capabilities(self, mechanisms: Sequence[bytes]) -> None:
        """Say what is true now; `mechanisms` are those of SASL that work."""
        self.has_asked = True
        lines = list(COMMON_CAPABILITIES)
        if self.offer.tls:
            lines.append(b"STLS")
        if self.offer.passwords:
            lines.append(b"USER")
        usable = [name for name in mechanisms if self.offer.passwords or name != b"PLAIN"]
        if usable:
            lines.append(b"SASL " + b" ".join(usable))
        self._output.append(capability_list(lines))

    # Commands.

    def _obey(self, line: bytes) -> Event | None:
        command = parse_command(line)
        result = self._answer(command)
        if result is None and self.offer.extensions:
            result = self._answer_extension(command)
        if isinstance(result, Event):
            return result
        self._output.append(_FIRST if result is None else result)
        self._note_idleness()
        return None

    def _answer(self, command: Command) -> bytes | Event | None:
        match command.verb:
            case b"user":
                return self._take_user(command.argument)
            case b"pass":
                return self._take_password(command.argument)
            case b"apop":
                user, space, digest = command.argument.partition(b" ")
                return LogIn(user, digest) if space else _SYNTAX
            case b"noop":
                return OK
            case b"quit":
                self.closed = True
                return OK
        return None

    def _answer_extension(self, command: Command) -> bytes | Event | None:
        match command.verb:
            case b"capa":
                return AskCapabilities()
            case b"stls":
                return StartTls() if self.offer.tls else error(NO_TLS)
            case b"auth":
                return self._authenticate(command.argument)
            case b"utf8":
                return OK  # mail is sent as it is, so there is nothing to change
        return None

    def _note_idleness(self) -> None:
        self._idle_commands += 1
        if self._idle_commands > MAX_IDLE_COMMANDS and not self.closed:
            self.closed = True
            self._output.append(_ENOUGH)

    def _take_user(self, user: bytes) -> bytes:
        if not user:
            return _SYNTAX
        if not self.offer.passwords:
            return _NEEDS_TLS
        self._user = user
        return OK

    def _take_password(self, password: bytes) -> bytes | Event:
        if not self.offer.passwords:
            return _NEEDS_TLS
        if self._user is None:
            return error(b"USER first")
        if not password:
            return _SYNTAX
        return LogIn(self._user, password)

    def _authenticate(self, argument: bytes) -> bytes | Event:
        mechanism, _, initial = argument.partition(b" ")
        if not mechanism:
            return _SYNTAX
        mechanism = mechanism.upper()
        if mechanism == b"PLAIN" and not self.offer.passwords:
            return _NEEDS_TLS
        if not initial:
            return Authenticate(mechanism, None)
        try:
            # RFC 5034 §4: "=" is an initial response without any bytes.
            return Authenticate(mechanism, b"" if initial == b"=" else _decoded(initial))
        except ValueError:
            return _SYNTAX

    def _take_response(self, line: bytes) -> Event | None:
        self._in_exchange = False
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        if text == b"*":
            self._output.append(_CANCELLED)
        else:
            try:
                return Response(_decoded(text))
            except ValueError:
                self._output.append(_SYNTAX)
        self._note_idleness()
        return None


def _decoded(text: bytes) -> bytes:
    """Return what base64 text says. Raises ValueError."""
    return binascii.a2b_base64(text, strict_mode=True)
