"""qmail-popup - read a POP username and password. See qmail-popup(8).

As an application of tcpserver it is two kinds of processes: the front, which speaks to the
network and has become qmaild, and the porter, which stays what tcpserver was, root in a
system home, and hears only the front. As a command it runs as root under tcpserver or inetd,
holds one session on descriptors 0 and 1, and opens no file but control/popsecure; the program it
starts decides who the client is and becomes that user.
"""

from __future__ import annotations

import os
import time

from pyqmail.control.files import read_integer
from pyqmail.errors import PermanentFailure
from pyqmail.programs.run import home_of, run
from pyqmail.protocol.pop3 import error
from pyqmail.retrieval.plain_login import EXIT_CODE, TIMEOUT, hold_plain_login
from pyqmail.system.descriptor_stream import WaitingStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

    from pyqmail.login.porter import Plan
    from pyqmail.ucspi.application import Application, Environment, ServerStream
    from pyqmail.ucspi.enclosure import Needs

_USAGE = error(b"usage: popup hostname subprogram")


def main() -> NoReturn:
    """Run as the command `qmail-popup`."""
    run("qmail-popup", ask_who)


def ask_who(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Ask a client for name and password on descriptors 0 and 1; return the exit code."""
    stream = WaitingStream(TIMEOUT)
    host, *program = arguments or (b"",)
    if not program:
        stream.write(_USAGE)
        return EXIT_CODE
    takes_passwords = read_integer(home_of(environ), "popsecure", 0) == 0
    return hold_plain_login(
        stream, _challenge(os.getpid(), host), program, environ, takes_passwords=takes_passwords
    )


def _challenge(number: int, host: bytes) -> bytes:
    return b"<%d.%d@%b>" % (number, time.time(), host)


# As an application. What it needs is loaded only then: the command must start fast.


def application(arguments: Sequence[bytes], _compose: object) -> Application:
    """Return qmail-popup as an application of tcpserver; see docs/ucspi.md.

    This process gives up root's rights here, after it has made a porter who keeps them.
    """
    from pyqmail.control.roles import leave_root  # noqa: PLC0415
    from pyqmail.login.entrance import Entrance  # noqa: PLC0415
    from pyqmail.login.porter import start_porter  # noqa: PLC0415
    from pyqmail.retrieval.login import Services, serve  # noqa: PLC0415
    from pyqmail.system.accounts import drop_to  # noqa: PLC0415
    from pyqmail.system.tls import Certificates  # noqa: PLC0415
    from pyqmail.ucspi.application import current_number, give_up_rights  # noqa: PLC0415
    from pyqmail.ucspi.carrying import carry_between  # noqa: PLC0415

    host, *program = arguments or (b"",)
    if not program:
        raise PermanentFailure(b"usage: qmail-popup hostname subprogram")
    home = home_of(os.environb)
    give_up_rights()  # who says -u means all of this
    roles = leave_root(home)
    is_root = os.geteuid() == 0
    gate = start_porter(_plan(home, program, os.environb, trusts_front=not is_root))
    if is_root:
        front = roles.qmaild
        drop_to(front.uid, front.gid, [front.gid])
    services = Services(
        entrance=Entrance(gate),
        carry=carry_between,
        certificates=Certificates(os.path.join(home, "control/servercert.pem")),
        log=_tell,
    )

    async def hold(environ: Environment, stream: ServerStream) -> int:
        challenge = _challenge(current_number(), host)
        return await serve(home, environ, stream, challenge, services)

    return hold


def needs(_arguments: Sequence[bytes], _needs_of: object) -> Needs:
    """Return what the front needs; whatever is executed, the porter executes."""
    from pyqmail.system.confinement import with_targets  # noqa: PLC0415
    from pyqmail.ucspi.enclosure import Needs  # noqa: PLC0415

    return Needs(readable=with_targets(os.path.join(home_of(os.environb), "control")))


def _plan(
    home: str, program: list[bytes], environ: Mapping[bytes, bytes], *, trusts_front: bool
) -> Plan:
    from pyqmail.login.porter import Plan  # noqa: PLC0415
    from pyqmail.login.verifier import is_ours  # noqa: PLC0415
    from pyqmail.retrieval.login import EXTENSIONS  # noqa: PLC0415

    checks_itself = is_ours(program[0], environ)
    return Plan(
        home=home,
        command=program,
        environ={EXTENSIONS: b"1", **environ},
        checks_itself=checks_itself,
        session=_session_of(program[1:], environ) if checks_itself else None,
        trusts_front=trusts_front,
    )


def _session_of(
    program: list[bytes], environ: Mapping[bytes, bytes]
) -> Callable[[Mapping[bytes, bytes], int], int] | None:
    """Return the program behind checkpassword as a function, if it is our qmail-pop3d."""
    from pyqmail.programs import qmail_pop3d  # noqa: PLC0415
    from pyqmail.programs.chain import Chain  # noqa: PLC0415

    if not program or Chain(environ).module_of(program[0]) is not qmail_pop3d:
        return None
    return qmail_pop3d.session(program[1:])


def _tell(text: bytes) -> None:
    os.write(2, b"qmail-popup: " + text + b"\n")
