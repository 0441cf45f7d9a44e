"""Servers of a home that are taken over by a client: they run what `intruder` has, then go on.

The launcher of the home is replaced by one that puts a back door into qmail-smtpd, into the front
of qmail-popup, and into qmail-queued: who comes through it is told, as a line of JSON, what the
process could do, and then its neighbours hear garbage.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

from tests.support import intruder

from pyqmail.home.launchers import interpreter, library_folders

if TYPE_CHECKING:
    from tests.support.system_home import SystemHome

VILLAIN = "127.0.0.66"
PATIENCE = 30  # seconds

_LAUNCHER = """\
#!{interpreter} -IS
import json, os, sys
sys.path += {folders!r}
home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
intruder = {{"__name__": "intruder"}}
exec({source!r}, intruder)

def report():
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = intruder["intrude"](home, [pid for pid in pids if pid != os.getpid()], {known!r})
    return json.dumps({{**found, "pid": os.getpid()}}).encode() + b"\\n"

def behind_a_door(serve):
    async def serve_or_intrude(home, environ, stream, *rest):
        if environ[b"TCPREMOTEIP"] != b"{villain}":
            return await serve(home, environ, stream, *rest)
        await stream.write(report())
        intruder["shout"](home + "/run/queue.sock")
        intruder["disturb"]({{0, 1, 2}})
        return 0
    return serve_or_intrude

program = os.path.basename(sys.argv[0])
if program == "tcpserver":
    from pyqmail.programs import qmail_smtpd
    from pyqmail.retrieval import login
    qmail_smtpd.serve = behind_a_door(qmail_smtpd.serve)
    login.serve = behind_a_door(login.serve)
elif program in ("qmail-start", "qmail-queued"):
    from pyqmail.queue import queued
    peer_of, doors = queued.peer_of, ["open"]
    def look_at_peer(client):
        peer = peer_of(client)
        if peer.uid == {guest} and doors:
            doors.pop()
            client.sendall(report())
            intruder["disturb"]({{0, 1, 2, client.fileno()}})
        return peer
    queued.peer_of = look_at_peer

from pyqmail.programs.run import launch
launch(home)
"""


def make_hostile(home: SystemHome, guest: int) -> None:
    """Put the back doors in; that of qmail-queued opens once, to the account `guest`."""
    with open(intruder.__file__, encoding="utf-8") as file:
        source = file.read()
    text = _LAUNCHER.format(
        interpreter=interpreter(),
        folders=library_folders(),
        source=source,
        known=[top for top, _, _ in os.walk(home.path)],
        villain=VILLAIN,
        guest=guest,
    )
    path = f"{home.path}/bin/pyqmail"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)


def take_over_server(port: int) -> dict[str, Any]:
    """Come in through the back door of a server; return what its process could do."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE, (VILLAIN, 0)) as client:
        return _hear(client)


def take_over_queued(home: SystemHome) -> dict[str, Any]:
    """Be the guest of qmail-queued; call it as his account."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(f"{home.path}/run/queue.sock")
        return _hear(client)


def _hear(client: socket.socket) -> dict[str, Any]:
    with client.makefile("rb") as said:
        line = said.readline()
        said.read()  # until it is done
    found: dict[str, Any] = json.loads(line)
    return found
