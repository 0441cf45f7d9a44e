"""The porter of a POP3 server: it lets people in, each into a process of his own.

The front of the server talks to the network and holds no rights; the porter holds the rights and
never hears the network. It does one thing: for each request of the front it forks. In the child
a password is looked at, and if it is right, the child becomes that user for good and holds
the session. So a session that crashes or is taken over is one user's alone.

The porter is a child of the front's first process, made before that gives up its rights;
what it may start was decided then, and no request can change it.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
import socket
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TRANSIENT
from pyqmail.login import hashing, offers, scram
from pyqmail.login.admission import Admission
from pyqmail.protocol.admission import ANSWER, END, MAX_PACKET, QUESTION, Request
from pyqmail.system import processes
from pyqmail.system.descriptors import receive_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

_GATE: Final = 3  # its descriptor
_PAUSE: Final = 1  # seconds before a porter that died is replaced
_DESCRIPTORS: Final = 2  # that come with a request: the talk, and the connection
_LEAST_TURNS: Final = 2

# What the front may say of a connection where the porter has more rights than it. Any other
# variable could make a program that runs as root do something else: LD_PRELOAD, for one.
_HARMLESS: Final = (b"TCP", b"POP3", b"PROTO", b"MANYUSERS")


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided at the start.

    `command` is a checkpassword and the program behind it, `checks_itself` says that the first is
    ours, and `session` is the second as a function over variables and a descriptor, if that is ours
    too. `trusts_front`: it has the same rights as we, so all its variables count.
    """

    home: str
    command: Sequence[bytes]
    environ: Mapping[bytes, bytes]
    checks_itself: bool
    session: Callable[[Mapping[bytes, bytes], int], int] | None
    trusts_front: bool
    # Files that only serve to be locked: so many passwords are looked at at the same time. Each
    # hash takes 19 MiB.
    turns: list[int] = field(default_factory=list)

    def environ_of(self, request: Request) -> dict[bytes, bytes]:
        """Return the variables for a session."""
        return {
            **self.environ,
            **{
                name: value
                for name, value in request.environ.items()
                if self.trusts_front or name.startswith(_HARMLESS)
            },
        }


def start_porter(plan: Plan) -> socket.socket:
    """Start a porter; return where it takes requests. It ends when nobody can make any more."""
    front, gate = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        _exit_with(lambda: _keep(plan, gate))
    gate.close()
    front.settimeout(0)
    return front


def _exit_with(function: Callable[[], int]) -> NoReturn:
    """Call `function` as all that is left of this process to do."""
    code = TRANSIENT
    try:
        code = function()
    except Exception:  # noqa: BLE001  the top of the process
        for line in traceback.format_exc().encode("utf-8", "backslashreplace").splitlines():
            os.write(2, b"qmail-popup: " + line + b"\n")
    finally:
        os._exit(code)


def _leave_all_but(gate: socket.socket) -> socket.socket:
    """Close every descriptor but the gate and the log; return the gate under its new number.

    The listening socket is among them: the port must be free when the front has
    ended, however long sessions last.
    """
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(gate.detach(), _GATE, inheritable=False)
    os.closerange(_GATE + 1, os.sysconf("SC_OPEN_MAX"))
    return socket.socket(fileno=_GATE)


def _keep(plan: Plan, gate: socket.socket) -> int:
    """Have a porter until its work is done, whatever kills it. Requests wait meanwhile."""
    gate = _leave_all_but(gate)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    processes.set_title("qmail-popup: keeper")
    while True:
        pid = os.fork()
        if pid == 0:
            _exit_with(lambda: _admit_all(plan, gate))
        if processes.wait_for(pid) == 0:
            return 0
        time.sleep(_PAUSE)


def _admit_all(plan: Plan, gate: socket.socket) -> int:
    processes.set_title("qmail-popup: porter")
    _prepare(plan)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who are let in
    for turn in itertools.cycle(plan.turns):
        packet, descriptors = receive_descriptors(gate, MAX_PACKET, _DESCRIPTORS)
        if not packet:
            break
        with suppress(OSError):  # no more processes: the front sees its end of the talk close
            if os.fork() == 0:
                gate.close()
                _exit_with(partial(_attend, plan, turn, packet, descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
    return 0


def _prepare(plan: Plan) -> None:
    """Do once what each child would have to do, and share it with them."""
    hashing.prepare()
    scram.chance()
    for _ in range(max(_LEAST_TURNS, os.cpu_count() or 1)):
        plan.turns.append(os.memfd_create("turn"))
    gc.collect()
    gc.freeze()


def _attend(plan: Plan, turn: int, packet: bytes, descriptors: Sequence[int]) -> int:
    """Do what one request wants, in a process of its own; say how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not descriptors:
        return TRANSIENT  # there was no room for them
    talk = socket.socket(fileno=descriptors[0])
    status = TRANSIENT
    try:
        request = Request.parse(packet)
        if request.kind == QUESTION:
            talk.send(ANSWER + b" ".join(_mechanisms(plan)))
            return 0
        if len(descriptors) == _DESCRIPTORS:
            status = Admission(plan, request, talk, descriptors[1], turn).settle()
    finally:
        with suppress(OSError):  # the front does not wait for it any more
            talk.send(END + b"%d" % status)
    return 0


def _mechanisms(plan: Plan) -> Sequence[bytes]:
    """Return the SASL mechanisms that POP3 clients may use."""
    if not plan.checks_itself:
        return (b"PLAIN",)
    return [name for name in offers.mechanisms(plan.home) if name in (b"SCRAM-SHA-256", b"PLAIN")]
