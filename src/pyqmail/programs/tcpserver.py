"""tcpserver - accept TCP connections. See tcpserver(1).

Started as root to listen on a low port, it becomes the user of -u and -g when the applications
are made, and before anything comes from the network. Applications of ours run in its workers;
every other program runs as a process for each connection.
"""

from __future__ import annotations

import asyncio
import os
import resource
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

from pyqmail.errors import (
    PERMANENT,
    SUCCESS,
    TRANSIENT,
    Failure,
    PermanentFailure,
    TransientFailure,
)
from pyqmail.programs.chain import Chain
from pyqmail.programs.options import UNKNOWN, Options
from pyqmail.programs.run import run
from pyqmail.system import confinement
from pyqmail.system.accounts import find_account, find_group
from pyqmail.system.dns import DnsResolver, servers_in
from pyqmail.system.errnos import error_text
from pyqmail.system.processes import set_title
from pyqmail.ucspi import listening
from pyqmail.ucspi.application import set_way_down
from pyqmail.ucspi.connection import Treatment
from pyqmail.ucspi.enclosure import Enclosure
from pyqmail.ucspi.log import ERRORS, EVERYTHING, SILENT, Log
from pyqmail.ucspi.lookups import addresses_of, port_of
from pyqmail.ucspi.server import Plan
from pyqmail.ucspi.workers import run_server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

_LETTERS: Final = b"qQv1UXhHpPrRoOdD46c:C:x:B:g:u:b:l:t:I:"
_WORDS: Final = (b"workers",)
_USAGE: Final = (
    b"tcpserver: usage: tcpserver "
    b"[ -1UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] "
    b"[ -b backlog ] [ -l localname ] [ -t timeout ] host port program\n"
)
_ARGUMENTS: Final = 3
_MAX_NUMBER: Final = 10  # digits; more than any limit, user or second has

# Descriptors that a connection and what it opens may take at the same time, and the rest.
_DESCRIPTORS: Final = 3
_OTHER_DESCRIPTORS: Final = 64


def main() -> NoReturn:
    """Run as the command `tcpserver`."""
    run("tcpserver", serve)


@dataclass(slots=True)
class _Settings:
    """What the options say, beside what is done for each connection."""

    treatment: dict[str, Any] = field(default_factory=dict)
    verbosity: int = ERRORS
    limit: int = 40
    limit_of_peer: int | None = None
    backlog: int = 20
    uid: int = 0
    gid: int = 0
    workers: int = 1
    says_port: bool = False
    only_v4: bool = False
    only_v6: bool = False
    zone: str = ""


def serve(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Listen, give up root's rights, and serve until TERM."""
    options = Options("tcpserver", arguments, _LETTERS, _WORDS)
    settings = _Settings()
    for letter, value in options:
        if letter == UNKNOWN:
            return _usage(settings)
        _obey(settings, letter, value, environ)
    if len(options.rest) < _ARGUMENTS:
        return _usage(settings)
    host, port, *program = options.rest
    try:
        _serve(settings, host, port, program, environ)
    except TransientFailure:
        if settings.verbosity == SILENT:
            return TRANSIENT
        raise
    return SUCCESS


def _serve(
    settings: _Settings,
    host: bytes,
    port: bytes,
    program: list[bytes],
    environ: Mapping[bytes, bytes],
) -> None:
    number = port_of(port)
    address = asyncio.run(addresses_of(host, listening.ANY))[0]
    listener = listening.listen(
        address,
        number,
        settings.backlog,
        only_v4=settings.only_v4,
        only_v6=settings.only_v6,
        zone=settings.zone,
    )
    _raise_limit_of_descriptors(settings.limit)
    # An application may have to keep something that only root can get; or give it up sooner.
    drop_rights = cache(lambda: _drop_rights(settings))
    set_way_down(drop_rights)
    plan = _plan(settings, program, dict(environ))
    drop_rights()
    set_title(" ".join(map(os.fsdecode, [b"tcpserver", host, port, *program])))
    if settings.says_port:
        os.write(1, b"%d\n" % listener.getsockname()[1])
    _leave_standard_input_and_output()
    run_server(plan, listener, settings.workers)


def _plan(settings: _Settings, program: list[bytes], environ: dict[bytes, bytes]) -> Plan:
    treatment = Treatment(**settings.treatment)
    resolver = DnsResolver(servers_in(environ.get(b"DNSCACHEIP", b"")))
    if treatment.local_name is None or treatment.look_up_name:
        resolver.prepare()
    chain = Chain(environ)
    application = chain.compose(program)
    return Plan(
        application=application,
        environ=environ,
        treatment=treatment,
        resolver=resolver,
        log=Log(settings.verbosity),
        limit=settings.limit,
        limit_of_peer=settings.limit_of_peer,
        enclosure=_enclosure(chain, program, treatment.rules),
    )


def _enclosure(chain: Chain, program: list[bytes], rules: str | None) -> Enclosure | None:
    """Return what the workers are to be confined to, if that is known and possible here."""
    if confinement.why_no_landlock() is not None:
        return None
    try:
        needs = chain.needs_of(program)
    except Failure:
        return None  # a home that cannot be read; each connection hears of it
    return None if needs is None else Enclosure(needs, rules)


# The options.

# Letters that stand for one setting of what is done for each connection.
_SWITCHES: Final[dict[bytes, tuple[str, bool]]] = {
    b"X": ("rules_may_be_absent", True),
    b"h": ("look_up_name", True),
    b"H": ("look_up_name", False),
    b"p": ("confirm_name", True),
    b"P": ("confirm_name", False),
    b"r": ("look_up_user", True),
    b"R": ("look_up_user", False),
    b"o": ("keep_ip_options", True),
    b"O": ("keep_ip_options", False),
    b"d": ("no_delay", False),
    b"D": ("no_delay", True),
}
# Letters that stand for one of the other settings.
_FLAGS: Final[dict[bytes, tuple[str, int]]] = {
    b"q": ("verbosity", SILENT),
    b"Q": ("verbosity", ERRORS),
    b"v": ("verbosity", EVERYTHING),
    b"1": ("says_port", True),
    b"4": ("only_v4", True),
    b"6": ("only_v6", True),
}


def _obey(settings: _Settings, letter: bytes, value: bytes, environ: Mapping[bytes, bytes]) -> None:
    treatment = settings.treatment
    if letter in _SWITCHES:
        name, state = _SWITCHES[letter]
        treatment[name] = state
        return
    if letter in _FLAGS:
        setattr(settings, *_FLAGS[letter])
        return
    match letter:
        case b"x":
            treatment["rules"] = os.fsdecode(value)
        case b"B":
            treatment["banner"] = value
        case b"l":
            treatment["local_name"] = value
        case b"t":
            treatment["user_timeout"] = _number(letter, value)
        case b"I":
            settings.zone = os.fsdecode(value)
        case b"U":
            settings.uid = _number(b"U", environ.get(b"UID", b""))
            settings.gid = _number(b"U", environ.get(b"GID", b""))
        case _:
            _obey_number(settings, letter, value)


def _obey_number(settings: _Settings, letter: bytes, value: bytes) -> None:
    match letter:
        case b"c":
            settings.limit = _number(letter, value, least=1)
        case b"C":
            settings.limit_of_peer = _number(letter, value, least=1)
        case b"b":
            settings.backlog = _number(letter, value)
        case b"workers":
            settings.workers = _number(letter, value, least=1)
        case b"u":
            settings.uid = _user(value)
        case b"g":
            settings.gid = _group(value)


def _number(letter: bytes, value: bytes, least: int = 0) -> int:
    """Return the number an option has. What is none is an error: 0 might mean root."""
    if not value.isdigit() or len(value) > _MAX_NUMBER or int(value) < least:
        what = b"a number" if not least else b"a number of at least %d" % least
        raise PermanentFailure(b"option " + letter + b" needs " + what + b": " + value)
    return int(value)


def _user(value: bytes) -> int:
    account = None if value.isdigit() else find_account(os.fsdecode(value))
    return account.uid if account is not None else _number(b"u", value)


def _group(value: bytes) -> int:
    gid = None if value.isdigit() else find_group(os.fsdecode(value))
    return gid if gid is not None else _number(b"g", value)


def _usage(settings: _Settings) -> int:
    if settings.verbosity != SILENT:
        os.write(2, _USAGE)
    return PERMANENT


# The process.


def _raise_limit_of_descriptors(connections: int) -> None:
    """Have room for as many connections as there may be, if the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections * _DESCRIPTORS + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _drop_rights(settings: _Settings) -> None:
    """Become the group and the user of the options for good; 0 changes nothing, as ever.

    An application may have become just them when it was made: in a private home, its owner.
    """
    if settings.uid and _is_just(settings.uid, settings.gid):
        return
    if settings.gid:
        try:
            os.setgroups([settings.gid])
            os.setgid(settings.gid)
        except OSError as error:
            raise TransientFailure(b"unable to set gid: " + error_text(error)) from error
    if settings.uid:
        try:
            os.setuid(settings.uid)
        except OSError as error:
            raise TransientFailure(b"unable to set uid: " + error_text(error)) from error


def _is_just(uid: int, gid: int) -> bool:
    return os.getresuid() == (uid, uid, uid) and gid in (0, os.getgid())


def _leave_standard_input_and_output() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)
