"""Connecting to somebody: tcpclient(1), and the small programs that stand on it."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TRANSIENT, TransientFailure
from pyqmail.system.errnos import error_text
from pyqmail.ucspi import lookups
from pyqmail.ucspi.environment import End, Ends, add_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyqmail.system.dns import Resolver

SILENT: Final = 0  # -q
ERRORS: Final = 1  # -Q
EVERYTHING: Final = 2  # -v

LOCALHOST: Final = "127.0.0.1"  # what 0, and nothing, stand for


@dataclass(frozen=True, slots=True)
class Options:
    """The options of tcpclient(1)."""

    local_name: bytes | None = None  # None: look it up
    look_up_name: bool = True
    look_up_user: bool = True
    user_timeout: int = 26
    no_delay: bool = False
    local_ip: str = ""
    local_port: int = 0
    first_timeout: int = 2  # seconds for each of several addresses
    second_timeout: int = 58  # seconds when they are tried once more
    verbosity: int = ERRORS


class NobodyThereError(TransientFailure):
    """No address took the connection; it has been said why, for each."""

    exit_code = TRANSIENT


async def connect(host: bytes, port: bytes, options: Options) -> socket.socket:
    """Return a connection to the first address of `host` that takes it. Raises TransientFailure."""
    number = lookups.port_of(port)
    addresses = await lookups.addresses_of(host, LOCALHOST)
    late = addresses
    if len(addresses) > 1:
        late = []
        for address in addresses:
            connection = await _try(address, number, options.first_timeout, options, late)
            if connection is not None:
                return connection
        timeout = options.second_timeout
    else:
        timeout = options.first_timeout + options.second_timeout
    for address in late:
        connection = await _try(address, number, timeout, options, None)
        if connection is not None:
            return connection
    raise NobodyThereError(b"nobody there")


async def _try(
    address: str,
    port: int,
    timeout: int,  # noqa: ASYNC109  the administrator's, of this address
    options: Options,
    late: list[str] | None,
) -> socket.socket | None:
    """Try one address. If it does not answer in time and `late` is a list, it is put there."""
    connection = socket.socket(
        socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM
    )
    try:
        _bind(connection, options)
        connection.settimeout(0)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except (OSError, TimeoutError) as error:
        connection.close()
        if isinstance(error, TimeoutError) and late is not None:
            late.append(address)
        else:
            _complain(address, port, error, options.verbosity)
        return None
    connection.settimeout(None)
    if options.no_delay:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if options.verbosity >= EVERYTHING:
        os.write(2, b"tcpclient: connected to %b port %d\n" % (address.encode(), port))
    return connection


def _bind(connection: socket.socket, options: Options) -> None:
    if options.local_ip or options.local_port:
        try:
            connection.bind((options.local_ip, options.local_port))
        except OSError as error:
            connection.close()
            raise TransientFailure(b"unable to bind socket: " + error_text(error)) from error


def _complain(address: str, port: int, error: OSError | TimeoutError, verbosity: int) -> None:
    # asyncio's own TimeoutError has no number.
    text = error_text(error) if error.errno else b"timed out"
    if verbosity >= ERRORS:
        place = b"%b port %d: " % (address.encode(), port)
        os.write(2, b"tcpclient: unable to connect to " + place + text + b"\n")


async def describe(
    connection: socket.socket,
    environ: Mapping[bytes, bytes],
    resolver: Resolver,
    options: Options,
) -> dict[bytes, bytes]:
    """Return `environ` with the variables of the connection."""
    ends = Ends(
        End.of(connection.getsockname()), End.of(connection.getpeername()), options.local_name
    )
    wanted = lookups.Wanted(
        name=options.look_up_name,
        user_timeout=options.user_timeout if options.look_up_user else None,
    )
    return add_variables(environ, await lookups.find_out(ends, resolver, wanted))
