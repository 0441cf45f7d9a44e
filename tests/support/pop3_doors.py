"""The doors to POP3 of a private home, and mail behind them."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.private_home import HOST, PrivateHome
from tests.support.tcpserver import TcpServer, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHAIN = ("qmail-popup", HOST, "checkpassword", "qmail-pop3d", "Maildir")
OLD = 1735873506  # a time long ago: what is of this second is not shown

PLAIN, STLS, POP3S = "plain", "stls", "pop3s"


@dataclass(frozen=True)
class Door:
    """Where a client comes in, in which way, and as whom."""

    transport: str
    port: int
    certificate: str  # what a client has to believe
    user: str
    password: str


@contextmanager
def pop3_server(home: PrivateHome, name: str, **environ: str) -> Iterator[TcpServer]:
    """Have a tcpserver for POP3, whose processes are the owner's of the home."""
    folder = Path(home.top, name)
    folder.mkdir(exist_ok=True)
    variables = {"QMAILHOME": home.path, **environ}
    server = TcpServer(f"{home.path}/bin/tcpserver", folder, variables)
    with running(server):
        account = home.account
        become = ["-u", str(account.pw_uid), "-g", str(account.pw_gid)] if os.getuid() == 0 else []
        server.start(["-RHl0", "-c", "200", *become], CHAIN)
        yield server


def fill(home: PrivateHome, maildir: str, messages: Mapping[str, bytes]) -> None:
    """Make `messages`, by the names of their files, all that is in a Maildir."""
    for folder in ("new", "cur"):
        shutil.rmtree(f"{maildir}/{folder}")
        os.mkdir(f"{maildir}/{folder}", 0o700)
        _give(home, f"{maildir}/{folder}")
    for name, text in messages.items():
        path = f"{maildir}/new/{name}"
        with open(path, "wb") as file:
            file.write(text)
        os.utime(path, (OLD, OLD))
        _give(home, path)


def _give(home: PrivateHome, path: str) -> None:
    if os.getuid() == 0:
        os.chown(path, home.account.pw_uid, home.account.pw_gid)
