"""What the machine may have wrong for a home: clock, disk, network ports, the DNS."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import time
from typing import TYPE_CHECKING, Final

import pyqmail
from pyqmail.control.files import read_line
from pyqmail.home import sendmail_links
from pyqmail.home.confinement_checking import check_confinement
from pyqmail.home.findings import ERROR, NOTE, WARNING, Finding
from pyqmail.queue import layout
from pyqmail.system import ports
from pyqmail.system.dns import DnsResolver, DnsTrouble, servers_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from pyqmail.control.roles import Roles
    from pyqmail.system.dns import Resolver

SMTP_PORT: Final = 25
_TOLERANCE: Final = 60  # seconds by which a file may be newer than the clock says
_SCARCE: Final = 100 * 1024 * 1024  # bytes; a few large messages
_EMPTY: Final = 5 * 1024 * 1024
_SCARCE_FILES: Final = 1000  # a message that waits is up to five
_DNS_TIME: Final = 5  # seconds for all questions together
_OUR_SERVER: Final = "tcpserver"


def check_clock(home: str, now: float) -> Iterator[Finding]:
    """Look whether the clock is behind what was written here already.

    Retry times, the age of messages and certificates all hang on it.
    """
    for path in (pyqmail.__file__, os.path.join(home, "control/me")):
        try:
            written = os.stat(path).st_mtime
        except OSError:
            continue
        if written > now + _TOLERANCE:
            date = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
            text = f"says {date} UTC, but {path} is {int(written - now)} seconds newer: set it"
            yield Finding(ERROR, "clock", text)
            return


def check_disk(home: str) -> Iterator[Finding]:
    """Look whether there is room for messages."""
    queue = layout.queue_directory(home)
    try:
        disk = os.statvfs(queue)
    except OSError:
        return  # somebody else says what is wrong with the queue
    yield from disk_findings(disk.f_bavail * disk.f_frsize, disk.f_favail if disk.f_files else None)


def disk_findings(room: int, entries: int | None) -> Iterator[Finding]:
    """Judge the bytes and the file entries that are left for the queue; None: without a limit."""
    if room < _SCARCE:
        level = ERROR if room < _EMPTY else WARNING
        yield Finding(level, "disk", f"has {room // 1048576} MB left for the queue")
    if entries is not None and entries < _SCARCE_FILES:
        yield Finding(WARNING, "disk", f"has room for {entries} more files, however small")


def check_port(port: int) -> Iterator[Finding]:
    """Look whether somebody else has the port, or nobody."""
    try:
        holders = ports.listeners(port)
    except OSError:
        return  # a machine that does not tell
    if not holders:
        yield Finding(NOTE, f"port {port}", "has no server: nobody can send mail to this host")
    for holder in holders:
        if holder is not None and _OUR_SERVER not in holder.command:
            text = f"is in use by process {holder.pid}, {holder.command}: stop it"
            yield Finding(ERROR, f"port {port}", text)


def check_dns(home: str) -> Iterator[Finding]:
    """Ask the DNS what others will be told about this host."""
    me = read_line(home, "me")
    server = read_line(home, "resolver")
    if me:
        resolver = DnsResolver(servers_in(server) if server else ())
        yield from dns_findings(me, resolver, _own_addresses())


def dns_findings(me: bytes, resolver: Resolver, own: Sequence[str]) -> list[Finding]:
    """Judge what `resolver` says about the host `me`, whose addresses are `own`."""

    async def ask() -> list[Finding]:
        async with asyncio.timeout(_DNS_TIME):
            return [finding async for finding in _questions(me, resolver, own)]

    try:
        return asyncio.run(ask())
    except (DnsTrouble, TimeoutError):
        text = (
            "does not answer: mail to other hosts waits; look at control/resolver and resolv.conf"
        )
        return [Finding(WARNING, "DNS", text)]


async def _questions(me: bytes, resolver: Resolver, own: Sequence[str]) -> AsyncIterator[Finding]:
    name = me.decode("ascii", "backslashreplace")
    addresses = await resolver.addresses(me)
    if not addresses:
        yield Finding(WARNING, "DNS", f"has no address for {name}, the name in control/me")
        return
    foreign = [address for address in addresses if not _is_one_of(address, own)]
    if len(foreign) == len(addresses):
        text = f"says {name} is {', '.join(foreign)}, which is no address of this machine"
        yield Finding(WARNING, "DNS", text)
    for address in addresses:
        names = await resolver.names(address)
        if me.lower() not in names and address not in foreign:
            text = f"does not lead from {address} back to {name}: other hosts may refuse our mail"
            yield Finding(WARNING, "DNS", text)


def _is_one_of(address: str, own: Sequence[str]) -> bool:
    wanted = ipaddress.ip_address(address)
    return any(wanted == ipaddress.ip_address(each) for each in own)


def _own_addresses() -> list[str]:
    from pyqmail.system.names import own_addresses  # noqa: PLC0415  only this needs the interfaces

    return own_addresses()


def check_sendmail(home: str) -> Iterator[Finding]:
    """Say where programs of this machine would find the sendmail of another mail server."""
    for path in sendmail_links.foreign(home):
        text = "is another mail server's: qmailctl setup --sendmail puts ours there"
        yield Finding(NOTE, path, text)


def check_machine(home: str, roles: Roles) -> Iterator[Finding]:
    """Yield what the machine has wrong; a private home is used without a network, too."""
    yield from check_clock(home, time.time())
    yield from check_disk(home)
    if not roles.private:
        yield from check_port(SMTP_PORT)
        yield from check_confinement(roles)
        yield from check_sendmail(home)
        yield from check_dns(home)
