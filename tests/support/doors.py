"""The three doors of a home: SMTP for everybody, submission, and submission over TLS.

Each is a tcpserver of ours with qmail-smtpd as its application, as qmail-smtpd(8)
shows them. Nobody is in the process but the home's owner.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.certificates import Authority
from tests.support.private_home import HOST, PrivateHome
from tests.support.tcpserver import TcpServer, running

if TYPE_CHECKING:
    from collections.abc import Sequence

SUBMISSION = ["qmail-smtpd", HOST, "checkpassword", "true"]


class Doors:
    """Use it as a context: the doors of a home, open."""

    def __init__(self, home: PrivateHome) -> None:
        self.authority = Authority()
        self._home = home
        self._doors = ExitStack()

    def __enter__(self) -> Self:
        self.authority.issue(Path(self._home.path, "control"))
        owner = self._home.account
        os.chown(f"{self._home.path}/control/servercert.pem", owner.pw_uid, owner.pw_gid)
        self.smtp = self._open("smtp", ["qmail-smtpd"])
        self.submission = self._open("submission", SUBMISSION, SMTPAUTH="!")
        self.smtps = self._open("smtps", SUBMISSION, SMTPAUTH="!", SMTPS="")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._doors.close()

    def _open(self, name: str, chain: Sequence[str], **environ: str) -> TcpServer:
        folder = Path(self._home.top, name)
        folder.mkdir()
        program = f"{self._home.path}/bin/tcpserver"
        environ["QMAILHOME"] = self._home.path
        server = self._doors.enter_context(running(TcpServer(program, folder, environ)))
        owner = self._home.account
        become = ["-u", str(owner.pw_uid), "-g", str(owner.pw_gid)] if os.getuid() == 0 else []
        server.start(["-RHl0", "-c", "200", *become], chain)
        return server
