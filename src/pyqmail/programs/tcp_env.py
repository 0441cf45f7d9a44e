"""tcp-env - set up the variables of a TCP connection under inetd. See tcp-env(1)."""

from __future__ import annotations

import os

from pyqmail.errors import TRANSIENT, Failure
from pyqmail.programs.execution import become
from pyqmail.programs.options import Options
from pyqmail.programs.run import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

    from pyqmail.system.dns import Resolver
    from pyqmail.ucspi.application import Application, Compose

_TIMEOUT = 30  # seconds for ident
_NO_ANSWER = b"softdnserror"  # the name of whom the DNS cannot tell now


def main() -> NoReturn:
    """Run as the command `tcp-env`."""
    run("tcp-env", run_with_variables)


def run_with_variables(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Become the program; where PROTO is not TCP, the variables are found out first.

    Nothing is said about failures: under inetd descriptor 2 is the client.
    """
    asks, timeout, program = _read_options(arguments)
    if not program:
        return TRANSIENT
    try:
        if environ.get(b"PROTO") not in (b"TCP", b"TCP6"):
            environ = _find_out(environ, timeout if asks else None)
        become(program, environ)
    except (Failure, OSError):
        return TRANSIENT


def _read_options(arguments: Sequence[bytes]) -> tuple[bool, int, list[bytes]]:
    options = Options("tcp-env", arguments, b"rRt:")
    asks, timeout = True, _TIMEOUT
    for letter, value in options:
        if letter in b"rR":
            asks = letter == b"r"
        elif letter == b"t" and value.isdigit():
            timeout = int(value)
    return asks, timeout, options.rest


def application(arguments: Sequence[bytes], compose: Compose) -> Application:
    """Return the application of the rest of the chain: its environment has all it needs."""
    return compose(_read_options(arguments)[2])


def _find_out(environ: Mapping[bytes, bytes], timeout: int | None) -> dict[bytes, bytes]:
    """Return `environ` with the variables of the connection on descriptor 0. Raises OSError."""
    import asyncio  # noqa: PLC0415  under tcpserver there is nothing to find out
    import socket  # noqa: PLC0415

    from pyqmail.system.dns import DnsResolver, servers_in  # noqa: PLC0415

    with socket.socket(fileno=os.dup(0)) as connection:
        ends = connection.getsockname(), connection.getpeername()
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            raise OSError("no TCP connection")
    resolver = DnsResolver(servers_in(environ.get(b"DNSCACHEIP", b"")))
    return asyncio.run(_describe(environ, ends, resolver, timeout))


async def _describe(
    environ: Mapping[bytes, bytes],
    addresses: tuple[Any, Any],
    resolver: Resolver,
    timeout: int | None,  # noqa: ASYNC109  the administrator's, for ident alone
) -> dict[bytes, bytes]:
    from pyqmail.ucspi.environment import End, Ends, add_variables  # noqa: PLC0415
    from pyqmail.ucspi.lookups import Wanted, find_out  # noqa: PLC0415

    known = Ends(End.of(addresses[0]), End.of(addresses[1]))
    wanted = Wanted(user_timeout=timeout, unanswered=_NO_ANSWER)
    return add_variables(environ, await find_out(known, resolver, wanted))
