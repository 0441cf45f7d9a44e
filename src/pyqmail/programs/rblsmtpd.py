"""rblsmtpd - refuse mail from clients that lists in the DNS name. See rblsmtpd(1).

Stands before an SMTP server, and runs as it does.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from pyqmail.errors import PERMANENT, SUCCESS, PermanentFailure
from pyqmail.policy.dnsbl import DnsList, judge
from pyqmail.programs.execution import become
from pyqmail.programs.options import UNKNOWN, Options
from pyqmail.programs.run import run
from pyqmail.reception.refusal import refuse
from pyqmail.system.dns import DnsResolver, servers_in
from pyqmail.system.streams import DescriptorStream
from pyqmail.ucspi.application import current_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.policy.dnsbl import Refusal
    from pyqmail.system.dns import Resolver
    from pyqmail.system.streams import Stream
    from pyqmail.ucspi.application import Application, Compose, Environment, ServerStream
    from pyqmail.ucspi.enclosure import Needs, NeedsOf

_USAGE: Final = (
    b"rblsmtpd: usage: rblsmtpd [ -b ] [ -R ] [ -t timeout ] "
    b"[ -r base ] [ -a base ] smtpd [ arg ... ]"
)
_TIMEOUT: Final = 60  # seconds
_MAX_NUMBER: Final = 10  # digits


def main() -> NoReturn:
    """Run as the command `rblsmtpd`."""
    run("rblsmtpd", refuse_or_run)


class _Settings:
    """The options; -b, -B, -c and -C are about the lists after them."""

    def __init__(self, arguments: Sequence[bytes]) -> None:
        self.lists: list[DnsList] = []
        self.timeout = _TIMEOUT
        options = Options("rblsmtpd", arguments, b"bBcCt:r:a:")
        bounces = fails_closed = False
        for letter, value in options:
            match letter:
                case b"b" | b"B":
                    bounces = letter == b"b"
                case b"c" | b"C":
                    fails_closed = letter == b"c"
                case b"t":
                    self.timeout = _number(value)
                case b"r" | b"a":
                    self.lists.append(DnsList(value, letter == b"a", bounces, fails_closed))
                case _:
                    assert letter == UNKNOWN  # all others are above
                    raise _UsageError
        self.program = options.rest
        if not self.program:
            raise _UsageError


class _UsageError(PermanentFailure):
    def __init__(self) -> None:
        super().__init__(_USAGE)


def _number(value: bytes) -> int:
    if not value.isdigit() or len(value) > _MAX_NUMBER:
        raise PermanentFailure(b"option t needs a number: " + value)
    return int(value)


def refuse_or_run(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Refuse the client on descriptors 0 and 1, or become the program."""
    try:
        settings = _Settings(arguments)
    except _UsageError as error:
        os.write(2, error.text + b"\n")
        return PERMANENT
    if asyncio.run(_hold(settings, environ)):
        return SUCCESS
    become(settings.program, environ)
    return SUCCESS  # never: a program that runs does not come back


async def _hold(settings: _Settings, environ: Mapping[bytes, bytes]) -> bool:
    refusal = await judge(environ, settings.lists, _resolver(environ))
    if refusal is not None:
        await _tell(settings, environ, DescriptorStream(), refusal, os.getpid())
    return refusal is not None


def application(arguments: Sequence[bytes], compose: Compose) -> Application:
    """Return the application that refuses a client, or is that of the rest of the chain."""
    settings = _Settings(arguments)
    inner = compose(settings.program)
    resolvers: list[Resolver] = []  # one, for all connections; made when it is needed
    if settings.lists:
        DnsResolver().prepare()  # the library is loaded once, for all workers

    async def hold(environ: Environment, stream: ServerStream) -> int:
        if not resolvers:
            resolvers.append(_resolver(environ))
        refusal = await judge(environ, settings.lists, resolvers[0])
        if refusal is None:
            return await inner(environ, stream)
        await _tell(settings, environ, stream, refusal, current_number())
        return SUCCESS

    return hold


def needs(arguments: Sequence[bytes], needs_of: NeedsOf) -> Needs | None:
    """Return what the rest of the chain needs; lists are asked over the network."""
    return needs_of(_Settings(arguments).program)


async def _tell(
    settings: _Settings,
    environ: Mapping[bytes, bytes],
    stream: Stream,
    refusal: Refusal,
    number: int,
) -> None:
    ip = environ.get(b"TCPREMOTEIP", b"")
    os.write(2, b"rblsmtpd: %b pid %d: %b\n" % (ip, number, refusal.line))
    await refuse(stream, refusal.line, settings.timeout)


def _resolver(environ: Mapping[bytes, bytes]) -> Resolver:
    return DnsResolver(servers_in(environ.get(b"DNSCACHEIP", b"")))
