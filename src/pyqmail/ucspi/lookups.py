"""Who is at the other end: names from the DNS, a user from the peer itself."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyqmail.errors import TransientFailure
from pyqmail.protocol import ident
from pyqmail.system.dns import DnsTrouble, literal_addresses

if TYPE_CHECKING:
    from pyqmail.system.dns import Resolver
    from pyqmail.ucspi.environment import End, Ends


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be found out. `unanswered` is the name of whom the DNS cannot tell now."""

    name: bool = True
    confirmed: bool = False  # a name counts only if it has the address
    user_timeout: int | None = None  # None: ask for no user
    unanswered: bytes | None = None


async def find_out(known: Ends, resolver: Resolver, wanted: Wanted) -> Ends:
    """Return `known` with what is wanted, all asked at the same time.

    The local name is looked up if it is None.
    """
    local_name, remote_name, info = await asyncio.gather(
        _local_name(known, resolver, wanted),
        _remote_name(known, resolver, wanted),
        _user(known, wanted),
    )
    return replace(known, local_name=local_name, remote_name=remote_name, info=info)


async def _local_name(known: Ends, resolver: Resolver, wanted: Wanted) -> bytes | None:
    if known.local_name is not None:
        return known.local_name
    return await name_of(resolver, known.local.ip, wanted.unanswered)


async def _remote_name(known: Ends, resolver: Resolver, wanted: Wanted) -> bytes | None:
    if not wanted.name:
        return None
    if wanted.confirmed:
        return await confirmed_name_of(resolver, known.remote.ip)
    return await name_of(resolver, known.remote.ip, wanted.unanswered)


async def _user(known: Ends, wanted: Wanted) -> bytes | None:
    if wanted.user_timeout is None:
        return None
    return await user_of(known.local, known.remote, wanted.user_timeout)


async def name_of(resolver: Resolver, ip: bytes, unanswered: bytes | None = None) -> bytes | None:
    """Return the first name of an address; None if it has none, `unanswered` if nobody can say."""
    try:
        names = await resolver.names(ip.decode())
    except DnsTrouble:
        return unanswered
    return names[0] if names and names[0] else None


async def confirmed_name_of(resolver: Resolver, ip: bytes) -> bytes | None:
    """Return the first name of an address if that name has this address."""
    name = await name_of(resolver, ip)
    if name is None:
        return None
    try:
        addresses = await resolver.addresses(name)
    except DnsTrouble:
        return None
    return name if ip.decode() in addresses else None


async def user_of(local: End, remote: End, timeout: float) -> bytes | None:  # noqa: ASYNC109  of all of it
    """Ask the peer whose its end of the connection is; None if it does not answer in time."""
    try:
        async with asyncio.timeout(timeout):
            return await _ask(local, remote)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return None


async def _ask(local: End, remote: End) -> bytes:
    reader, writer = await asyncio.open_connection(
        remote.ip.decode(), ident.PORT, local_addr=(local.ip.decode(), 0), limit=ident.MAX_REPLY
    )
    try:
        writer.write(ident.encode_query(remote.port, local.port))
        return ident.parse_reply(await reader.readuntil(b"\n"))
    except asyncio.LimitOverrunError as error:
        raise ValueError("a reply without an end") from error
    finally:
        writer.close()


# What the administrator names.


async def addresses_of(host: bytes, here: str) -> list[str]:
    """Return the addresses of a host named on a command line; `here` is that of 0 and nothing.

    Raises TransientFailure. Several IPv4 addresses may be joined by dots.
    """
    if host in (b"", b"0"):
        return [here]
    if literal := literal_addresses(host):
        return literal
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.decode("latin-1"), None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
            text = b"temporarily unable to figure out IP address for " + host + b": timed out"
            raise TransientFailure(text) from error
        raise TransientFailure(b"no IP address for " + host) from error
    # IPv4 first, as ever; then in the system's order.
    found.sort(key=lambda each: each[0] != socket.AF_INET)
    return [str(address[0]) for *_, address in found]


def port_of(text: bytes) -> int:
    """Return the port with this number or name. Raises TransientFailure."""
    if text.isdigit() and int(text) < 65536:  # noqa: PLR2004  ports have 16 bits
        return int(text)
    try:
        return socket.getservbyname(text.decode("latin-1"), "tcp")
    except OSError as error:
        raise TransientFailure(b"unable to figure out port number for " + text) from error
