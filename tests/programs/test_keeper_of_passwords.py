"""AUTH in a system home: qmaild may not read passwords; a keeper of root's answers for it."""

from __future__ import annotations

import os
import pwd
import shlex
import signal
import smtplib
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import accounts
from tests.support.certificates import Authority
from tests.support.launchers import launcher_folder
from tests.support.logins import LoginHome
from tests.support.tcpserver import PATIENCE, TcpServer, running

from pyqmail.login.hashing import hash_password
from pyqmail.system.accounts import find_group

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("accounts"),
    pytest.mark.skipif(accounts.why_not() is not None, reason=str(accounts.why_not())),
]

AUTHORITY = Authority()
SECRET = "correct horse"


@pytest.fixture(scope="module", autouse=True)
def _family() -> Iterator[None]:
    with accounts.accounts(), accounts.homes_of_our_own():
        subprocess.run(["chpasswd"], input=f"mv1:{SECRET}\n".encode(), check=True)
        yield


@pytest.fixture(scope="module")
def programs() -> Iterator[str]:
    with launcher_folder() as folder:
        yield folder


@pytest.fixture
def home() -> Iterator[LoginHome]:
    with tempfile.TemporaryDirectory(prefix="home.") as top:
        os.chmod(top, 0o755)
        folder = Path(top) / "home"
        folder.mkdir()
        home = LoginHome(folder)
        home.control("me", "mail.example.org\n")
        os.unlink(f"{home.path}/control/checkpassword")
        home.users(f"joe:{hash_password(b'battery').decode()}")
        os.chmod(f"{home.path}/users/passwd", 0o600)
        AUTHORITY.issue(folder / "control")
        certificate = f"{home.path}/control/servercert.pem"
        os.chown(certificate, 0, find_group("nofiles") or 0)
        os.chmod(certificate, 0o640)
        yield home


@contextmanager
def served(home: LoginHome, programs: str, *more: str) -> Iterator[TcpServer]:
    """Serve submission as root would: one command line, which becomes qmaild."""
    environ = {"QMAILHOME": home.path, "SMTPAUTH": "!"}
    server = TcpServer(f"{programs}/tcpserver", Path(home.path).parent, environ)
    with running(server):
        options = ["-RHl0", "-u", "qmaild", "-g", "nofiles", *more]
        server.start(options, ["qmail-smtpd", "mail.example.org", "checkpassword", "true"])
        yield server


@contextmanager
def session(server: TcpServer) -> Iterator[smtplib.SMTP]:
    context = AUTHORITY.context()
    context.check_hostname = False
    with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
        client.starttls(context=context)
        yield client


def lines_of_the_manual() -> dict[str, list[str]]:
    """Return the command lines for users in the examples of qmail-smtpd(8), by their ports."""
    page = Path(__file__).parents[2] / "docs/man/qmail-smtpd.8.md"
    lines = [shlex.split(line) for line in page.read_text().splitlines() if "SMTPAUTH='!'" in line]
    return {line[line.index("0") + 1]: line for line in lines if "tcpserver" in line}


def answer(client: smtplib.SMTP, name: str, password: str) -> int:
    """Return the code that AUTH is answered with."""
    try:
        return client.login(name, password)[0]
    except smtplib.SMTPAuthenticationError as error:
        return error.smtp_code


def logs_in(server: TcpServer, name: str, password: str) -> bool:
    """Ask whether name and password are right, and whether mail is taken then."""
    with session(server) as client:
        code = answer(client, name, password)
        assert code in (235, 535)
        assert (client.mail("joe@example.org")[0] == 250) == (code == 235)
        return code == 235


def owner_of(pid: int) -> str:
    return pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_name


def keepers(server: TcpServer) -> list[int]:
    """Return the processes that are root's still, but for tcpserver: which is none's any more."""
    return [pid for pid in server.processes() if owner_of(pid) == "root"]


def test_accounts_and_users_of_mail_log_in_where_no_server_may_read_passwords(
    home: LoginHome, programs: str
) -> None:
    with served(home, programs, "--workers", "2") as server:
        assert logs_in(server, "mv1", SECRET)
        assert logs_in(server, "joe", "battery")
        assert not logs_in(server, "mv1", "battery")
        assert not logs_in(server, "nobody-at-all", SECRET)

        others = {owner_of(pid) for pid in server.processes()} - {"root"}
        assert others == {"qmaild"}
        assert owner_of(server.process.pid) == "qmaild"
        assert len(keepers(server)) == 2  # one answers, one watches it


def test_what_would_need_to_leave_the_keeper_is_not_offered(home: LoginHome, programs: str) -> None:
    home.control("checkpassword", "users\n")
    home.users("joe:{PLAIN}battery")
    with served(home, programs) as server, session(server) as client:
        client.ehlo()
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]


def test_guesses_are_counted_for_all(home: LoginHome, programs: str) -> None:
    with served(home, programs) as server:
        began = time.monotonic()
        assert not logs_in(server, "joe", "a guess")
        assert time.monotonic() - began >= 1

    status = os.stat(f"{home.path}/run/guesses")
    assert (status.st_uid, status.st_mode & 0o777) == (0, 0o600)


def test_a_keeper_that_dies_is_replaced(home: LoginHome, programs: str) -> None:
    with served(home, programs) as server:
        assert logs_in(server, "joe", "battery")
        answering = max(keepers(server))
        os.kill(answering, signal.SIGKILL)
        with session(server) as client:
            deadline = time.monotonic() + PATIENCE
            while (code := answer(client, "joe", "battery")) != 235:
                assert code == 454
                assert time.monotonic() < deadline
        assert answering not in keepers(server)


def test_the_keeper_ends_with_its_server(home: LoginHome, programs: str) -> None:
    with served(home, programs) as server:
        assert keepers(server)
        server.process.terminate()
        server.process.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while server.processes():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_no_other_program_gets_the_way_to_the_keeper(home: LoginHome, programs: str) -> None:
    with served(home, programs) as server:
        server.ask(b"QUIT\r\n")  # then it has a worker
        worker = next(pid for pid in server.processes() if owner_of(pid) == "qmaild")
        flags = [Path(f"/proc/{worker}/fdinfo/{name}") for name in os.listdir(f"/proc/{worker}/fd")]
        sockets = [
            path
            for path in flags
            if os.readlink(str(path).replace("fdinfo", "fd")).startswith("socket:")
        ]
        assert sockets
        close_on_exec = 0o2000000
        for path in sockets:
            (line,) = [each for each in path.read_text().splitlines() if "flags" in each]
            assert int(line.split()[1], 8) & close_on_exec


def test_without_a_password_program_there_is_no_keeper(home: LoginHome, programs: str) -> None:
    server = TcpServer(f"{programs}/tcpserver", Path(home.path).parent, {"QMAILHOME": home.path})
    with running(server):
        server.start(["-RHl0", "-u", "qmaild", "-g", "nofiles"], ["qmail-smtpd"])
        server.ask(b"QUIT\r\n")
        assert keepers(server) == []


def test_a_certificate_that_qmaild_may_not_read_is_not_used_and_the_log_says_so(
    home: LoginHome, programs: str
) -> None:
    os.chmod(f"{home.path}/control/servercert.pem", 0o600)
    with served(home, programs) as server:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            assert not client.has_extn("starttls")
        server.wait_until_logged(
            "TLS and AUTH not available: control/servercert.pem: Permission denied"
        )


@pytest.mark.parametrize("port", ["587", "465"])
def test_the_command_lines_of_the_manual_serve_users(
    home: LoginHome, programs: str, port: str
) -> None:
    _, *words = lines_of_the_manual()[port]
    begin, end = words.index("tcpserver"), words.index("0")
    environ = dict(word.split("=", 1) for word in words[:begin])
    roles = {"UID": "qmaild", "GID": "nofiles"}
    options = [roles.get(word, word) for word in words[begin + 1 : end]]
    chain = words[end + 2 :]

    environ["QMAILHOME"] = home.path
    server = TcpServer(f"{programs}/tcpserver", Path(home.path).parent, environ)
    with running(server):
        server.start(["-RHl0", *options], chain)
        client: smtplib.SMTP
        if port == "465":
            context = AUTHORITY.context()
            client = smtplib.SMTP_SSL("127.0.0.1", server.port, timeout=PATIENCE, context=context)
        else:
            client = smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE)
            client.starttls(context=AUTHORITY.context())
        with client:
            client.ehlo()
            assert client.mail("joe@example.org")[0] == 530
            assert client.login("joe", "battery")[0] == 235
            assert client.mail("joe@example.org")[0] == 250
            assert client.rcpt("far@example.net")[0] == 250
