"""Which processes of a system home that hear the network are confined by Landlock, and why not.

The kernel does not tell. But it tells who has given up new privileges: a process that may start
programs of others never does (decision 0042), and confines itself as little.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.errors import Failure
from pyqmail.home.findings import NOTE, Finding
from pyqmail.system import confinement
from pyqmail.system.running import process_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.control.roles import Roles

_PLACE: Final = "Landlock"
_DAEMONS: Final = ("qmail-queued", "qmail-rspawn")
_SERVER: Final = "tcpserver"
_FIELDS: Final = {"NoNewPrivs", "PPid"}  # of /proc/PID/status; proc(5)


def check_confinement(roles: Roles) -> Iterator[Finding]:
    """Say what Landlock does here, and for which processes that run."""
    reason = confinement.why_no_landlock()
    if reason is not None:
        yield Finding(NOTE, _PLACE, f"is not active: {reason}")
        return
    version = confinement.kernel_landlock()
    yield Finding(NOTE, _PLACE, f"is active: version {version} of the kernel")
    seen = dict.fromkeys(_judged(roles))
    yield from (Finding(NOTE, title, text) for title, text in seen)


def _judged(roles: Roles) -> Iterator[tuple[str, str]]:
    """Yield title and judgement of each process that is asked about."""
    try:
        owners = {roles.qmailq.uid, roles.qmailr.uid, roles.qmaild.uid}
    except Failure:
        return  # somebody else says which account is missing
    for name in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        try:
            if os.stat(f"/proc/{name}").st_uid in owners:
                yield from _judge(int(name))
        except OSError:
            continue  # it has ended


def _judge(pid: int) -> Iterator[tuple[str, str]]:
    title = _title_of(pid)
    program = title.split(" ")[0]
    is_worker = program == _SERVER and _title_of(int(_status_of(pid)["PPid"])) == title
    if not (is_worker or program in _DAEMONS):
        return
    if program == "qmail-queued" and not confinement.moves_files():
        yield title, "is not confined: this version would not let it move files"
    elif _status_of(pid)["NoNewPrivs"] == "1":
        yield title, "is confined"
    else:
        yield title, "is not confined: it may have to start programs of others"


def _title_of(pid: int) -> str:
    process = process_of(pid)
    return "" if process is None else process.title


def _status_of(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        pairs = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in pairs if name in _FIELDS}
