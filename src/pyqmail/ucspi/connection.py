"""What happens to one connection: who is it, may he, and then the application."""

from __future__ import annotations

import socket
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyqmail.errors import PERMANENT, TRANSIENT, Failure
from pyqmail.ucspi.application import set_number
from pyqmail.ucspi.child import Program, exit_status_of, wait_status
from pyqmail.ucspi.environment import End, Ends, add_variables
from pyqmail.ucspi.lookups import Wanted, find_out
from pyqmail.ucspi.rules import Rule, read_rule
from pyqmail.ucspi.stream import SocketStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyqmail.system.dns import Resolver
    from pyqmail.ucspi.application import Application, Environment
    from pyqmail.ucspi.log import Log


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done for every connection: the options of tcpserver(1)."""

    local_name: bytes | None = None  # None: look it up
    look_up_name: bool = True
    confirm_name: bool = False
    look_up_user: bool = True
    user_timeout: int = 26
    rules: str | None = None
    rules_may_be_absent: bool = False
    banner: bytes = b""
    keep_ip_options: bool = False
    no_delay: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that connections share."""

    treatment: Treatment
    application: Application
    environ: Environment
    resolver: Resolver
    log: Log
    next_number: Callable[[], int]


async def hold(service: Service, connection: socket.socket, remote: End) -> None:
    """Serve one connection and write its lines into the log. Never raises but to be cancelled."""
    stream = SocketStream(connection)
    visit = _Visit(service, remote)
    status = TRANSIENT
    try:
        status = await visit.serve(connection, stream)
    except Failure as failure:
        service.log.drop(failure.text)
        status = failure.exit_code
    except ConnectionError:
        pass  # the peer is gone; that is no trouble of ours
    except OSError as error:
        service.log.drop(f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
    except Exception:  # noqa: BLE001  a crash of one connection touches no other
        _report_crash(service.log, visit.number)
    finally:
        stream.close()
        service.log.end(visit.number, wait_status(status))


class _Visit:
    """One connection's way through."""

    def __init__(self, service: Service, remote: End) -> None:
        self._service = service
        self._remote = remote
        self._announced = False
        self.number = 0

    async def serve(self, connection: socket.socket, stream: SocketStream) -> int:
        """Do all of it, in the original's order; return the exit status."""
        application = self._service.application
        if not isinstance(application, Program):
            self._announce(self._service.next_number())
        try:
            ends = await self._meet(connection)
            rule = self._find_rule(ends)
            if rule.denies:
                self._decide(ends, denied=True)
                return PERMANENT
            environ = add_variables(self._service.environ, ends)
            rule.apply(environ)
            if isinstance(application, Program):
                return await self._run_program(application, environ, connection, ends)
            self._decide(ends, denied=False)
            set_number(self.number)
            return await application(environ, stream)
        finally:
            if not self._announced:
                self._announce(self._service.next_number())

    async def _run_program(
        self, program: Program, environ: Environment, connection: socket.socket, ends: Ends
    ) -> int:
        """Start a process; its pid, known only now, is the connection's number."""
        connection.settimeout(None)
        try:
            pid = program.start(environ, connection.fileno())
        except Failure:
            self._decide(ends, denied=False)
            raise
        self._announce(pid)
        self._decide(ends, denied=False)
        connection.close()
        return await exit_status_of(pid)

    def _announce(self, number: int) -> None:
        self._announced = True
        self.number = number
        self._service.log.begin(number, self._remote.ip)

    def _decide(self, ends: Ends, *, denied: bool) -> None:
        if not self._announced:
            self._announce(self._service.next_number())
        self._service.log.decision(self.number, ends, denied=denied)

    async def _meet(self, connection: socket.socket) -> Ends:
        """Prepare the connection, and find out who is at its ends."""
        treatment = self._service.treatment
        _set_options(connection, treatment)
        _send_banner(connection, treatment.banner)
        return await self._find_out(End.of(connection.getsockname()), treatment)

    async def _find_out(self, local: End, treatment: Treatment) -> Ends:
        known = Ends(local, self._remote, treatment.local_name)
        if not (known.local_name is None or treatment.look_up_name or treatment.look_up_user):
            return known
        wanted = Wanted(
            name=treatment.look_up_name,
            confirmed=treatment.confirm_name,
            user_timeout=treatment.user_timeout if treatment.look_up_user else None,
        )
        return await find_out(known, self._service.resolver, wanted)

    def _find_rule(self, ends: Ends) -> Rule:
        treatment = self._service.treatment
        if treatment.rules is None:
            return Rule(None)
        return read_rule(
            treatment.rules,
            ends.remote.ip,
            ends.remote_name,
            ends.info,
            may_be_absent=treatment.rules_may_be_absent,
        )


def _set_options(connection: socket.socket, treatment: Treatment) -> None:
    if not treatment.keep_ip_options:
        with suppress(OSError):  # IPv6 has none
            # A source route would bring the answers to whoever claims to be the peer.
            connection.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"")
    if treatment.no_delay:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _send_banner(connection: socket.socket, banner: bytes) -> None:
    """Send it before anything is looked up, on a connection that is still nobody's."""
    if banner:
        connection.settimeout(0)
        connection.send(banner)


def _report_crash(log: Log, number: int) -> None:
    """Write what went wrong into the log, on one line for each line of the traceback."""
    for line in traceback.format_exc().encode("utf-8", "backslashreplace").splitlines():
        log.tell(b"connection %d: %b" % (number, line))
