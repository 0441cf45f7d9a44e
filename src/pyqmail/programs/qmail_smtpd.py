"""qmail-smtpd - receive mail via SMTP. See qmail-smtpd(8).

Runs as qmaild under tcpserver, inetd or `sendmail -bs`. It reads control files
and hands messages to the queue; it writes nothing itself. As a command it
holds one session on descriptors 0 and 1; tcpserver runs the same as an
application, many sessions in one process.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pyqmail.control.roles import roles_of
from pyqmail.programs.recipient_check import recipient_check
from pyqmail.programs.run import home_of, run
from pyqmail.queue.async_client import AsyncQueue
from pyqmail.reception.settings import SettingsReader
from pyqmail.reception.smtp import CERTIFICATE, Services, serve
from pyqmail.system.streams import DescriptorStream
from pyqmail.system.tls import Certificates, SecurableStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import NoReturn

    from pyqmail.login.keeper import Keeper
    from pyqmail.protocol.smtp.auth import Verifier
    from pyqmail.system.streams import ServerStream
    from pyqmail.ucspi.enclosure import Needs


def main() -> NoReturn:
    """Run as the command `qmail-smtpd`."""
    run("qmail-smtpd", hold_session)


def hold_session(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Hold one session on descriptors 0 and 1; return its exit status.

    Nothing is written on descriptor 2: under inetd it is the client, too.
    """
    return asyncio.run(_hold(arguments, dict(environ)))


async def _hold(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    home = Home(home_of(environ), arguments)
    stream = SecurableStream(DescriptorStream())
    try:
        return await home.serve(environ, stream)
    finally:
        await stream.end_tls()
        home.close()


def application(
    arguments: Sequence[bytes], _compose: object
) -> Callable[[Mapping[bytes, bytes], ServerStream], Awaitable[int]]:
    """Return qmail-smtpd as an application of tcpserver; see docs/ucspi.md."""
    keepers = _start_keepers(arguments[1:], os.environb)
    homes: dict[str, Home] = {}

    async def hold(environ: Mapping[bytes, bytes], stream: ServerStream) -> int:
        name = home_of(environ)
        if name not in homes:
            homes[name] = Home(name, arguments, _tell, keepers.get(name))
        return await homes[name].serve(environ, stream)

    return hold


def needs(arguments: Sequence[bytes], _needs_of: object) -> Needs | None:
    """Return what sessions need under tcpserver; None if they may execute a checkpassword."""
    from pyqmail.programs.reach_of_reception import needs_of_reception  # noqa: PLC0415

    if arguments[1:] and not _has_keeper(arguments[1:], os.environb):
        return None
    return needs_of_reception(os.environb)


def _start_keepers(
    password_program: Sequence[bytes], environ: Mapping[bytes, bytes]
) -> Mapping[str, Keeper]:
    """Start, while we are root, what will know the passwords of the home when we no longer may.

    Whoever begins as somebody else, or in a private home, may later what he may now.
    """
    if not _has_keeper(password_program, environ):
        return {}

    from pyqmail.login import keeper  # noqa: PLC0415  as in Home

    home = home_of(environ)
    return {home: keeper.start_keeper(home)}


def _has_keeper(password_program: Sequence[bytes], environ: Mapping[bytes, bytes]) -> bool:
    if os.geteuid() != 0 or not password_program:
        return False

    from pyqmail.login import verifier  # noqa: PLC0415  as in Home

    private = roles_of(home_of(environ)).private
    return not private and verifier.is_ours_alone(password_program, environ)


class Home:
    """What the sessions of one process share."""

    def __init__(
        self,
        home: str,
        arguments: Sequence[bytes],
        log: Callable[[bytes], None] | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self._home = home
        self._password_program = arguments[1:]  # behind the name of the host
        self._keeper = keeper
        self._queue = AsyncQueue(home)

        def tell_of_certificate(refusal: str) -> None:
            if log is not None:
                log(f"{CERTIFICATE}: {refusal}: clients will refuse it".encode())

        self._services = Services(
            recipient_exists=recipient_check(home),
            certificates=Certificates(os.path.join(home, CERTIFICATE), tell_of_certificate),
            host=arguments[0] if arguments else b"",
            log=log,
            read_settings=SettingsReader().read,
        )

    async def serve(self, environ: Mapping[bytes, bytes], stream: ServerStream) -> int:
        """Hold one session."""
        verifier = self._verifier(environ)
        services = (
            self._services if verifier is None else replace(self._services, verifier=verifier)
        )
        return await serve(self._home, environ, stream, self._queue, services)

    def close(self) -> None:
        """Let go of the queue."""
        self._queue.close()

    def _verifier(self, environ: Mapping[bytes, bytes]) -> Verifier | None:
        """Return who knows passwords, if the arguments name a program and SMTPAUTH allows it."""
        wanted = environ.get(b"SMTPAUTH", b"")
        if not self._password_program or b"-" in wanted:
            return None

        # What knows passwords is large, and most services do not ask for any.
        from pyqmail.login import verifier  # noqa: PLC0415

        return verifier.Verifier(
            self._home,
            self._password_program,
            environ,
            checks_digests=b"cram" in wanted.lower(),
            keeper=self._keeper,
        )


def _tell(text: bytes) -> None:
    os.write(2, b"qmail-smtpd: " + text + b"\n")
