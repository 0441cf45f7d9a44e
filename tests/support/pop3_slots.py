"""A running home, and slots in which histories of POP3 happen."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.children import as_ordinary_user
from tests.support.pop3_doors import CHAIN
from tests.support.pop3_histories import PASSWORD, Slot
from tests.support.private_home import PrivateHome, listening
from tests.support.tcpserver import TcpServer, running

from pyqmail.control.roles import roles_of
from pyqmail.home import mailboxes
from pyqmail.home.mail_owner import MailOwner

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS = ("aku{}", "budi{}@virtual.example.org", "budi{}@other.example.org")


@contextmanager
def slots(count: int) -> Iterator[list[Slot]]:
    """Have a home that takes mail by SMTP, and so many servers from which it is fetched."""
    with PrivateHome() as home, ExitStack() as stack:
        made = [[name.format(number) for name in USERS] for number in range(count)]
        add_users(home, [user for users in made for user in users])
        home.start("--json", *listening("smtp"))
        port = json.loads(home.log().partition("\n")[0])["services"]["smtp"]["port"]
        yield [
            _slot(home, stack, f"slot{number}", users, port) for number, users in enumerate(made)
        ]
        assert home.stop() == 0


def add_users(home: PrivateHome, users: list[str]) -> None:
    """Add users whose password is looked at fast: a hash would take as long as all the rest."""

    def work() -> None:
        mail_owner = MailOwner(roles_of(home.path).owner, home.path, private=True)
        for name in users:
            mailboxes.add_user(home.path, name.encode(), mail_owner)

    as_ordinary_user(work)
    home.write("users/passwd", "".join(f"{name}:{{PLAIN}}{PASSWORD}\n" for name in users))


def _slot(home: PrivateHome, stack: ExitStack, name: str, users: list[str], smtp: int) -> Slot:
    folder = Path(home.top, name)
    folder.mkdir()
    server = TcpServer(f"{home.path}/bin/tcpserver", folder, {"QMAILHOME": home.path})

    def start() -> None:
        account = home.account
        become = ["-u", str(account.pw_uid), "-g", str(account.pw_gid)] if os.getuid() == 0 else []
        server.start(["-RHl0", "-c", "50", *become], CHAIN)

    def restart() -> None:
        server.stop()
        start()

    start()
    stack.enter_context(running(server))
    return Slot(users, smtp, server, restart)
