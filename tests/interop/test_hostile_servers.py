"""The other half of the compromise drill: processes that hear strangers are taken over by one.

What is taken over is the real process, with its descriptors, after it gave up what it gives up.
"""

from __future__ import annotations

import os
import poplib
import smtplib
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import accounts, chaos
from tests.support.children import in_child
from tests.support.hostile import make_hostile, take_over_queued, take_over_server
from tests.support.system_home import PREFIX, SystemHome, why_not
from tests.support.tcpserver import TcpServer, running

from pyqmail.control.roles import roles_of
from pyqmail.home.confinement_checking import check_confinement
from pyqmail.home.findings import NOTE, Finding
from pyqmail.system import confinement

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("system home: hostile servers"),
]

LANDLOCK = confinement.why_no_landlock()
needs_landlock = pytest.mark.skipif(LANDLOCK is not None, reason=f"Landlock: {LANDLOCK}")

PASSWORD = "correct horse"
CHAIN = ["qmail-popup", "mail.example.org", "checkpassword", "qmail-pop3d", "Maildir"]
MESSAGES = [
    *("queue/pid", "queue/mess", "queue/intd", "queue/todo", "queue/journal"),
    "queue/lock/trigger",
]
# What the account could change, and what is left of it where the kernel has Landlock.
MAY_CHANGE = {
    "smtp": [],
    "pop3": [],
    "queued": MESSAGES if LANDLOCK is None else [*MESSAGES, "queue", "queue/lock", "run"],
}


class Servers:
    """A home that runs, with a server for SMTP and one for POP3; aku has a password."""

    def __init__(self, home: SystemHome, stack: ExitStack) -> None:
        self.home = home
        with accounts.changing():
            text = f"{PREFIX}aku:{PASSWORD}\n"
            subprocess.run(["chpasswd"], input=text, text=True, check=True)
        make_hostile(home, home.account("dia").pw_uid)
        os.mkdir(f"{home.top}/rules")
        self.rules = f"{home.top}/rules/rules.cdb"
        self.allow()
        argv = [f"{home.path}/bin/qmail-start", "./Maildir/"]
        nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        start = subprocess.Popen(
            argv, env=home.environ(), cwd="/", start_new_session=True, **nowhere
        )
        stack.callback(start.wait)
        stack.callback(start.kill)
        daemon = home.account("qmaild")
        options = ["-RHl0", "-x", self.rules, "-u", str(daemon.pw_uid), "-g", str(daemon.pw_gid)]
        self.smtp = self._serve(stack, options, ["qmail-smtpd"])
        self.pop3 = self._serve(stack, ["-RHl0"], CHAIN)
        home.wait(lambda: os.path.exists(f"{home.path}/run/queue.sock"), "no qmail-queued")

    def _serve(self, stack: ExitStack, options: list[str], chain: list[str]) -> TcpServer:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="server.")))
        server = TcpServer(f"{self.home.path}/bin/tcpserver", folder)
        stack.enter_context(running(server))
        server.start(options, chain)
        return server

    def allow(self, variables: str = "") -> None:
        """Write the rules."""
        argv = [f"{self.home.path}/bin/tcprules", self.rules, f"{self.rules}.tmp"]
        text = f':allow,RELAYCLIENT=""{variables}\n'
        subprocess.run(argv, input=text, text=True, check=True)

    def take_over(self, name: str) -> dict[str, Any]:
        """Return what a process could do once it was taken over."""
        if name == "queued":
            guest = self.home.account("dia").pw_uid

            def call() -> dict[str, Any]:
                os.setuid(guest)
                return take_over_queued(self.home)

            return in_child(call)
        return take_over_server((self.smtp if name == "smtp" else self.pop3).port)

    def send(self, number: int) -> None:
        """Send a letter to aku by SMTP, and wait for it."""
        letter = f"Subject: x\nsubject: letter {number}\n\nhello\n"

        def try_it() -> bool:
            try:
                with smtplib.SMTP("127.0.0.1", self.smtp.port, timeout=30) as client:
                    client.sendmail(
                        "ann@far.example.net", [f"{PREFIX}aku@mail.example.org"], letter
                    )
            except (smtplib.SMTPException, OSError):
                return False  # what was taken over may be replaced just now
            return True

        self.home.wait(try_it, "no letter is taken")
        self.home.wait(lambda: number in chaos.letters_of(self.home, "aku"), "nothing is delivered")

    def number_of_letters(self) -> int:
        """Ask by POP3."""
        client = poplib.POP3("127.0.0.1", self.pop3.port, timeout=30)
        client.user(f"{PREFIX}aku")
        client.pass_(PASSWORD)
        number = client.stat()[0]
        client.quit()
        return number

    def worker_of(self, server: TcpServer) -> int:
        """Return the worker that accepts."""
        title = self.home.title_of(server.process.pid)
        (pid,) = [pid for pid in server.processes() if self.home.title_of(pid) == title]
        return pid


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with SystemHome("aku", "dia") as home, ExitStack() as stack:
        home.as_user("aku", "maildirmake", "Maildir")
        with open(f"{home.top}/public", "w", encoding="ascii") as file:
            file.write("for everybody who can execute programs\n")
        yield Servers(home, stack)


def below(path: str, tops: list[str]) -> bool:
    return any(path == top or path.startswith(f"{top}/") for top in tops)


@pytest.mark.parametrize("name", ["smtp", "pop3", "queued"])
def test_a_server_that_was_taken_over_harms_nobody_else(servers: Servers, name: str) -> None:
    home = servers.home
    servers.send(1)
    pids = {*servers.pop3.processes(), *(pid for each in home.processes().values() for pid in each)}
    neighbours = {pid: home.title_of(pid) for pid in pids}
    owners = {pid: os.stat(f"/proc/{pid}").st_uid for pid in neighbours}

    found = servers.take_over(name)

    own = {found["pid"], *(pid for pid, title in neighbours.items() if title == "qmail-queued")}
    uid = owners[found["pid"]]
    assert [path for path in found["changed"] if not below(path, MAY_CHANGE[name])] == []
    assert bool(found["changed"]) == bool(MAY_CHANGE[name])
    assert (found["read"] == []) == (name != "queued")
    assert {owners[pid] for pid in found["signalled"] if pid in owners} <= {uid}
    gone = {title for pid, title in neighbours.items() if not os.path.exists(f"/proc/{pid}")}
    assert gone <= {neighbours[pid] for pid in own}
    servers.send(2)
    assert servers.number_of_letters() >= 2


@needs_landlock
@pytest.mark.parametrize("name", ["smtp", "pop3", "queued"])
def test_a_confined_server_executes_signals_and_opens_nothing(servers: Servers, name: str) -> None:
    if name == "queued":  # its door has opened once
        for pid in servers.home.processes()["qmail-queued"]:
            if servers.home.title_of(pid) == "qmail-queued":
                os.kill(pid, 15)
    servers.send(3)

    found = servers.take_over(name)

    assert found["signalled"] == []
    assert (found["executed"], found["outside"]) == (False, False)


@needs_landlock
def test_check_says_who_is_confined(servers: Servers) -> None:
    servers.send(4)

    said = list(check_confinement(roles_of(servers.home.path)))

    version = confinement.kernel_landlock()
    assert said[0] == Finding(NOTE, "Landlock", f"is active: version {version} of the kernel")
    assert {(finding.place.split(" ")[0], finding.text) for finding in said[1:]} == {
        ("qmail-queued", "is confined"),
        ("qmail-rspawn", "is confined"),
        ("tcpserver", "is confined"),
    }


@needs_landlock
def test_a_filter_that_rules_name_works_at_once_and_who_is_connected_goes_on(
    servers: Servers,
) -> None:
    home, filtered = servers.home, f"{servers.home.top}/filtered"
    script = f"{home.top}/filter"
    with open(script, "w", encoding="ascii") as file:
        file.write(f"#!/bin/sh\ntouch {filtered}/$$\nexec {home.path}/bin/qmail-queue\n")
    os.chmod(script, 0o755)
    os.mkdir(filtered)
    os.chown(filtered, home.account("qmaild").pw_uid, -1)
    servers.send(5)
    before = servers.worker_of(servers.smtp)
    old = smtplib.SMTP("127.0.0.1", servers.smtp.port, timeout=30)

    servers.allow(f',QMAILQUEUE="{script}"')
    servers.send(6)

    assert len(os.listdir(filtered)) == 1
    old.sendmail("a@example.net", [f"{PREFIX}aku@mail.example.org"], "subject: letter 7\n\nx\n")
    old.quit()
    home.wait(lambda: 7 in chaos.letters_of(home, "aku"), "who was connected is not served")
    home.wait(lambda: not os.path.exists(f"/proc/{before}"), "the old worker goes on")
    said = {finding.text for finding in check_confinement(roles_of(home.path))}
    assert "is not confined: it may have to start programs of others" in said
    servers.send(8)
    assert len(os.listdir(filtered)) == 2
