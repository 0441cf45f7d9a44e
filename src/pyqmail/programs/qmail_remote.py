"""qmail-remote - send a message to another host. See qmail-remote(8).

Runs as qmailr; uses the network, and reads and writes lock/tcpto.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import ControlError
from pyqmail.delivery.destinations import LIMIT
from pyqmail.delivery.remote import Delivery, RemoteDeliverer
from pyqmail.delivery.remote_texts import NO_HOME, UNREADABLE_CONTROL, USAGE
from pyqmail.delivery.routes import read_resolver
from pyqmail.errors import SUCCESS
from pyqmail.programs.run import home_of, run
from pyqmail.queue.suspension import Suspension
from pyqmail.system import files
from pyqmail.system.dns import DnsResolver, servers_in
from pyqmail.system.processes import set_title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

LEAST_ARGUMENTS: Final = 3


def main() -> NoReturn:
    """Run as the command `qmail-remote`."""
    run("qmail-remote", send)


def send(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Send the message on descriptor 0; the reports on descriptor 1 say what became of it."""
    files.write(1, _reports(arguments, environ))
    return SUCCESS


def _reports(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> bytes:
    if len(arguments) < LEAST_ARGUMENTS:
        return USAGE + b"\0"
    home = os.path.abspath(home_of(environ))
    if not os.access(home, os.X_OK):
        return NO_HOME + b"\0"
    host, reverse_path, *forward_paths = arguments
    try:
        deliverer = make_deliverer(home, environ)
    except ControlError:
        return UNREADABLE_CONTROL + b"\0"
    set_title("qmail-remote")
    outcome = asyncio.run(deliverer.deliver(Delivery(host, reverse_path, forward_paths, 0)))
    return outcome.of_all()


def make_deliverer(
    home: str, environ: Mapping[bytes, bytes], limit: int = LIMIT
) -> RemoteDeliverer:
    """Return who delivers, over `limit` connections to a place. Raises ControlError."""
    servers, port = read_resolver(home)
    servers = servers_in(environ.get(b"DNSCACHEIP", b"")) or servers
    suspension = Suspension(home, os.getpid())
    resolver = DnsResolver(servers, port)
    return RemoteDeliverer(home, resolver, suspension, limit=limit)
