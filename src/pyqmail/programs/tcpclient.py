"""tcpclient - make a TCP connection and run a program on it. See tcpclient(1)."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from pyqmail.errors import PERMANENT, SUCCESS, TRANSIENT, PermanentFailure, TransientFailure
from pyqmail.programs.execution import become
from pyqmail.programs.options import UNKNOWN
from pyqmail.programs.options import Options as CommandLine
from pyqmail.programs.run import run
from pyqmail.system.dns import DnsResolver, literal_addresses, servers_in
from pyqmail.ucspi.client import (
    ERRORS,
    EVERYTHING,
    SILENT,
    NobodyThereError,
    Options,
    connect,
    describe,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_USAGE: Final = (
    b"tcpclient: usage: tcpclient [ -hHrRdDqQv ] [ -i localip ] [ -p localport ] "
    b"[ -T timeoutconn ] [ -l localname ] [ -t timeoutinfo ] host port program\n"
)
_ARGUMENTS: Final = 3
_MAX_NUMBER: Final = 10  # digits
_READING: Final = 6  # the program's descriptors; ucspi-tcp's side of UCSPI for clients
_WRITING: Final = 7

_SWITCHES: Final[dict[bytes, tuple[str, int]]] = {
    b"h": ("look_up_name", True),
    b"H": ("look_up_name", False),
    b"r": ("look_up_user", True),
    b"R": ("look_up_user", False),
    b"d": ("no_delay", False),
    b"D": ("no_delay", True),
    b"q": ("verbosity", SILENT),
    b"Q": ("verbosity", ERRORS),
    b"v": ("verbosity", EVERYTHING),
}


def main() -> NoReturn:
    """Run as the command `tcpclient`."""
    run("tcpclient", connect_and_run)


def connect_and_run(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Become the program, with the connection on its descriptors 6 and 7."""
    command_line = CommandLine("tcpclient", arguments, b"dDvqQhHrRi:p:t:T:l:")
    chosen: dict[str, Any] = {}
    for letter, value in command_line:
        if letter == UNKNOWN or (letter == b"i" and _address(value) is None):
            return _usage()
        chosen |= _meaning_of(letter, value)
    if len(command_line.rest) < _ARGUMENTS:
        return _usage()
    options = Options(**chosen)
    host, port, *program = command_line.rest
    try:
        _become_connected(host, port, program, environ, options)
    except NobodyThereError as error:
        return error.exit_code
    except TransientFailure:
        if options.verbosity == SILENT:
            return TRANSIENT
        raise
    return SUCCESS  # never: a program that runs does not come back


def _meaning_of(letter: bytes, value: bytes) -> dict[str, Any]:
    if letter in _SWITCHES:
        name, state = _SWITCHES[letter]
        return {name: state}
    match letter:
        case b"l":
            return {"local_name": value}
        case b"i":
            return {"local_ip": _address(value)}
        case b"p":
            return {"local_port": _number(letter, value)}
        case b"t":
            return {"user_timeout": _number(letter, value)}
    first, plus, second = value.partition(b"+")
    # Without a plus there is no second try, as ever.
    later = _number(letter, second) if plus else 0
    return {"first_timeout": _number(letter, first), "second_timeout": later}


def _number(letter: bytes, value: bytes) -> int:
    if not value.isdigit() or len(value) > _MAX_NUMBER:
        raise PermanentFailure(b"option " + letter + b" needs a number: " + value)
    return int(value)


def _address(value: bytes) -> str | None:
    if b":" in value:
        return value.decode("ascii", "replace")
    addresses = literal_addresses(value)
    return addresses[0] if len(addresses) == 1 else None


def _usage() -> int:
    os.write(2, _USAGE)
    return PERMANENT


def _become_connected(
    host: bytes,
    port: bytes,
    program: list[bytes],
    environ: Mapping[bytes, bytes],
    options: Options,
) -> None:
    async def prepare() -> tuple[socket.socket, dict[bytes, bytes]]:
        connection = await connect(host, port, options)
        resolver = DnsResolver(servers_in(environ.get(b"DNSCACHEIP", b"")))
        return connection, await describe(connection, environ, resolver, options)

    connection, variables = asyncio.run(prepare())
    descriptor = connection.detach()
    if descriptor not in (_READING, _WRITING):
        os.dup2(descriptor, _READING)
        os.dup2(descriptor, _WRITING)
        os.close(descriptor)
    else:
        os.dup2(descriptor, _WRITING if descriptor == _READING else _READING)
        os.set_inheritable(descriptor, True)  # noqa: FBT003  its only argument
    become(program, variables)
