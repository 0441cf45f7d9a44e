"""Dovecot beside a system home: accounts of the machine, and users who have none."""

from __future__ import annotations

import imaplib
import os
import pwd
import ssl
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.support import accounts
from tests.support.dovecot import adapted, dovecot, free_port, recommended
from tests.support.launchers import launcher_folder
from tests.support.mail_only_home import KEEPER, SystemHome, system_home
from tests.support.private_home import why_not

from pyqmail.home.certificate import write_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

REASON = accounts.why_not() or why_not()
pytestmark = [
    pytest.mark.peer,
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    pytest.mark.xdist_group("accounts"),
]

ACCOUNT = "mv2"
BUDI = "budi@virtual.example.org"
PASSWORD = "correct horse"

# Where a test has to be, and what it must not disturb.
PLACE = """
listen = 127.0.0.1
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot
log_path = /dev/stderr
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
"""


@pytest.fixture(scope="module")
def home() -> Iterator[SystemHome]:
    with launcher_folder() as launchers, system_home(launchers) as made:
        made.add(BUDI)
        made.qmailctl("user", "passwd", BUDI, text=f"{PASSWORD}\n")
        write_certificate(str(made.path))
        hashed = subprocess.check_output(["openssl", "passwd", "-6", PASSWORD], text=True).strip()
        subprocess.run(["usermod", "--password", hashed, ACCOUNT], check=True)
        give_maildir(accounts.empty_home(ACCOUNT), ACCOUNT)
        yield made
        subprocess.run(["usermod", "--password", "!", ACCOUNT], check=True)


def give_maildir(folder: str, account: str) -> None:
    owner = pwd.getpwnam(account)
    for name in ("Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"):
        os.makedirs(f"{folder}/{name}", mode=0o700, exist_ok=True)
        os.chown(f"{folder}/{name}", owner.pw_uid, owner.pw_gid)


@pytest.fixture(scope="module")
def imap_port(home: SystemHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("dovecot")
    for path in (folder, folder.parent, folder.parent.parent):
        path.chmod(0o755)
    imap, imaps = free_port(), free_port()
    top = str(home.path)
    changes = {"/var/qmail/control": f"{top}/control", "/var/qmail/bin": f"{top}/bin"}
    text = adapted(recommended("system"), changes)
    text += PLACE.format(folder=folder, imap=imap, imaps=imaps)
    (folder / "dovecot.conf").write_text(text)
    with dovecot(f"{folder}/dovecot.conf", str(folder), imap, {}) as log_path:
        yield imaps
        with open(log_path, encoding="utf-8") as log:
            assert " Error: " not in log.read()


@contextmanager
def logged_in(home: SystemHome, port: int, name: str, password: str) -> Iterator[imaplib.IMAP4_SSL]:
    believing = ssl.create_default_context(cafile=f"{home.path}/control/servercert.pem")
    with imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=believing, timeout=30) as client:
        client.login(name, password)
        yield client


def put(maildir: str, account: str, text: str) -> None:
    owner = pwd.getpwnam(account)
    path = f"{maildir}/new/1.a.host"
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chown(path, owner.pw_uid, owner.pw_gid)


@pytest.mark.parametrize(
    ("name", "account", "below"),
    [(ACCOUNT, ACCOUNT, "Maildir"), (BUDI, KEEPER, "domains/virtual.example.org/budi/Maildir")],
)
def test_each_reads_the_mail_of_his_own_as_himself(
    home: SystemHome, imap_port: int, name: str, account: str, below: str
) -> None:
    maildir = f"{pwd.getpwnam(account).pw_dir}/{below}"
    put(maildir, account, f"Subject: for {name}\n\nhello\n")

    with logged_in(home, imap_port, name, PASSWORD) as client:
        client.select()
        (answer, *_) = client.fetch("1", "(BODY[])")[1]

    assert isinstance(answer, tuple)
    assert answer[1] == f"Subject: for {name}\r\n\r\nhello\r\n".encode()
    assert os.listdir(f"{maildir}/cur") == ["1.a.host:2,S"]
    uid = pwd.getpwnam(account).pw_uid
    assert {entry.stat().st_uid for entry in os.scandir(maildir)} == {uid}


@pytest.mark.parametrize(("name", "password"), [(BUDI, "wrong"), (KEEPER, PASSWORD), ("root", "")])
def test_nobody_else_is_let_in(home: SystemHome, imap_port: int, name: str, password: str) -> None:
    guesses = home.path / "run" / "guesses"
    guesses.unlink(missing_ok=True)

    with (
        pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"),
        logged_in(home, imap_port, name, password),
    ):
        pass
