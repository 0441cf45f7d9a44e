"""What the administrator says about mail from the network: control files, read once a session."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from pyqmail.control.files import ControlError, read_integer, read_line
from pyqmail.control.peers import PeerList
from pyqmail.control.senders import SenderTable
from pyqmail.reception.relaying import AddressList, RelayDomains

if TYPE_CHECKING:
    from collections.abc import Mapping

    _State = list[tuple[str, int, int, int, int]]

DEFAULT_TIMEOUT: Final = 1200  # seconds; qmail-smtpd(8)
# RFC 5321 §4.5.3.1.8 wants 100. If all are as long as they may be, these take 9 MB.
MAX_RECIPIENTS: Final = 10000
DEFAULT_MAX_ERRORS: Final = 100  # a good client with a list of dead addresses has as many
DEFAULT_MAX_JUNK: Final = 1000
DEFAULT_TARPIT_DELAY: Final = 5  # seconds
_MAX_DIGITS: Final = 20

# Variables that settings depend on beside the files; as many combinations as rules have.
_VARIABLES: Final = (b"DATABYTES", b"TARPITCOUNT", b"TARPITDELAY", b"SMTPAUTH")
_MOST_KNOWN: Final = 100
_RECENTLY: Final = 2 * 10**9  # nanoseconds; clocks of file systems tick some hundred times a second


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a client may do.

    After `tarpit_count` recipients of a message each costs `tarpit_delay`
    seconds; a count of 0 is none.
    """

    max_recipients: int
    max_errors: int
    max_junk: int
    tarpit_count: int
    tarpit_delay: int

    @classmethod
    def read(cls, home: str, environ: Mapping[bytes, bytes]) -> Self:
        """Read them; TARPITCOUNT and TARPITDELAY in `environ` come first. Raises ControlError."""
        wanted = read_integer(home, "maxrcpt", MAX_RECIPIENTS)
        return cls(
            max_recipients=min(wanted or MAX_RECIPIENTS, MAX_RECIPIENTS),
            max_errors=read_integer(home, "maxerrors", DEFAULT_MAX_ERRORS),
            max_junk=read_integer(home, "maxjunk", DEFAULT_MAX_JUNK),
            tarpit_count=_number(environ, b"TARPITCOUNT", read_integer(home, "tarpitcount", 0)),
            tarpit_delay=_number(
                environ,
                b"TARPITDELAY",
                read_integer(home, "tarpitdelay", DEFAULT_TARPIT_DELAY),
            ),
        )


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom we believe what."""

    proxies: PeerList
    introducers: PeerList  # who may say XCLIENT
    senders: SenderTable | None
    ciphers: str | None
    passwords_in_clear: bool
    must_authenticate: bool

    @classmethod
    def read(cls, home: str, environ: Mapping[bytes, bytes]) -> Self:
        """Read control files and SMTPAUTH. Raises ControlError."""
        ciphers = read_line(home, "tlsserverciphers")
        return cls(
            proxies=PeerList.read(home, "proxypeers"),
            introducers=PeerList.read(home, "xclientpeers"),
            senders=SenderTable.read(home),
            ciphers=ciphers.decode("latin-1") if ciphers else None,
            passwords_in_clear=read_integer(home, "authwithouttls", 0) != 0,
            must_authenticate=b"!" in environ.get(b"SMTPAUTH", b""),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """The control files of qmail-smtpd(8). `max_size` is None where there is no limit."""

    greeting: bytes
    local_host: bytes | None
    timeout: int
    domains: RelayDomains
    bad_senders: AddressList
    bad_recipients: AddressList
    max_size: int | None
    check_recipients: bool
    internationalized: bool  # SMTPUTF8 is offered
    limits: Limits
    trust: Trust

    @classmethod
    def read(cls, home: str, environ: Mapping[bytes, bytes]) -> Self:
        """Read them; DATABYTES in `environ` comes before databytes. Raises ControlError."""
        me = read_line(home, "me")
        greeting = read_line(home, "smtpgreeting")
        local_host = read_line(home, "localiphost")
        greeting = me if greeting is None else greeting
        if greeting is None:
            raise ControlError("control/me", None, b"absent, and control/smtpgreeting too")
        return cls(
            greeting=greeting,
            local_host=me if local_host is None else local_host,
            timeout=max(1, read_integer(home, "timeoutsmtpd", DEFAULT_TIMEOUT)),
            domains=RelayDomains.read(home),
            bad_senders=AddressList.read(home, "badmailfrom"),
            bad_recipients=AddressList.read(home, "badrcptto"),
            max_size=read_max_size(home, environ),
            check_recipients=read_integer(home, "recipientcheck", 1) != 0,
            internationalized=read_integer(home, "smtputf8", 1) != 0,
            limits=Limits.read(home, environ),
            trust=Trust.read(home, environ),
        )


class SettingsReader:
    """The settings of one home for the sessions of one process, read when they have changed.

    What is known of the files is looked at for each session, which costs a fifth of reading
    them. Where one has changed a moment ago nothing is remembered: another change could follow
    that its time does not show.
    """

    def __init__(self) -> None:
        self._state: _State | None = None
        self._known: dict[tuple[bytes | None, ...], Settings] = {}

    def read(self, home: str, environ: Mapping[bytes, bytes]) -> Settings:
        """Return what `Settings.read()` would return now. Raises ControlError."""
        state = _state_of(os.path.join(home, "control"))
        if state is None:
            return Settings.read(home, environ)
        variables = tuple(environ.get(name) for name in _VARIABLES)
        if state != self._state or len(self._known) >= _MOST_KNOWN:
            self._state, self._known = state, {}
        if variables not in self._known:
            self._known[variables] = Settings.read(home, environ)
        return self._known[variables]


def _state_of(folder: str) -> _State | None:
    """Return what tells whether any file in a folder has changed; None if that is not sure."""
    settled = time.time_ns() - _RECENTLY
    state = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat()
                changed = status.st_ctime_ns
                if not 0 < changed < settled:
                    return None
                # In the order of the folder: as long as nothing changes there, it is the same.
                state.append(
                    (entry.name, status.st_ino, status.st_size, status.st_mtime_ns, changed)
                )
    except OSError:  # a link that leads nowhere, perhaps
        return None
    return state


def read_max_size(home: str, environ: Mapping[bytes, bytes]) -> int | None:
    """Return the most bytes that a message may have, or None if there is no limit.

    As in the original, DATABYTES counts as far as it consists of digits, and
    without any it means no limit. Raises ControlError.
    """
    return _number(environ, b"DATABYTES", read_integer(home, "databytes", 0)) or None


def _number(environ: Mapping[bytes, bytes], name: bytes, otherwise: int) -> int:
    """Return the digits that the variable begins with; `otherwise` if it is not set."""
    text = environ.get(name)
    if text is None:
        return otherwise
    digits = text[: len(text) - len(text.lstrip(b"0123456789"))]
    return int(digits[:_MAX_DIGITS] or b"0")
