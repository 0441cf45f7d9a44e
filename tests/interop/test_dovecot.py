"""Dovecot gives by IMAP what we deliver, to whom checkpassword believes; docs/dovecot.md."""

from __future__ import annotations

import contextlib
import grp
import imaplib
import json
import os
import poplib
import smtplib
import ssl
from typing import TYPE_CHECKING

import pytest
from tests.support.dovecot import adapted, dovecot, free_port, recommended
from tests.support.private_home import HOST, PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.peer,
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

BUDI = "budi@virtual.example.org"
PASSWORD = "correct horse"
ANYWHERE = tuple(f"--listen={name}=127.0.0.1:0" for name in ("smtp", "submission", "pop3"))


class Servers:
    """A running home with the users aku and budi, and Dovecot beside it."""

    def __init__(self, home: PrivateHome, imap: int, imaps: int, log_path: str) -> None:
        self.home = home
        self._imap, self._imaps = imap, imaps
        self._log_path = log_path
        services = json.loads(home.log().partition("\n")[0])["services"]
        self._ports = {name: place["port"] for name, place in services.items()}
        self._believing = ssl.create_default_context(cafile=f"{home.path}/control/servercert.pem")

    def log(self) -> str:
        with open(self._log_path, encoding="utf-8") as file:
            return file.read()

    @contextlib.contextmanager
    def imap(self, name: str, password: str = PASSWORD) -> Iterator[imaplib.IMAP4]:
        client = imaplib.IMAP4("127.0.0.1", self._imap, timeout=30)
        try:
            client.login(name, password)
            client.select()
            yield client
        finally:
            client.logout()

    @contextlib.contextmanager
    def imaps(self) -> Iterator[imaplib.IMAP4_SSL]:
        with imaplib.IMAP4_SSL(
            "127.0.0.1", self._imaps, ssl_context=self._believing, timeout=30
        ) as client:
            yield client

    @contextlib.contextmanager
    def pop3(self, name: str) -> Iterator[poplib.POP3]:
        client = poplib.POP3("127.0.0.1", self._ports["pop3"], timeout=30)
        try:
            client.user(name)
            client.pass_(PASSWORD)
            yield client
            client.quit()
        finally:
            client.close()

    def deliver(self, name: str, subject: str) -> None:
        """Send a letter by SMTP, and return when IMAP shows it."""
        letter = f"Subject: {subject}\r\n\r\n.{subject}\r\n".encode()
        with smtplib.SMTP("127.0.0.1", self._ports["smtp"], "client", timeout=30) as client:
            client.sendmail("sue@far.example.net", [name], letter)
        self.home.wait(lambda: bool(self.found(name, subject)), f"IMAP does not show {subject}")

    def forget_guesses(self) -> None:
        """Let the next refusal take a second, not twice as long as the last one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.home.path}/run/guesses")

    def found(self, name: str, subject: str) -> list[bytes]:
        with self.imap(name) as client:
            (numbers,) = client.search(None, "SUBJECT", f'"{subject}"')[1]
        return numbers.split()


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with PrivateHome() as home:
        for name in ("aku", BUDI):
            home.run("qmailctl", "user", "add", name, "--password", text=f"{PASSWORD}\n".encode())
        home.start("--json", *ANYWHERE)
        imap, imaps = free_port(), free_port()
        changes = {
            "/home/aku/mail/run": f"{home.path}/run",
            "/home/aku/mail/bin": f"{home.path}/bin",
            "/home/aku/mail/control": f"{home.path}/control",
            "aku": home.account.pw_name,
            "users": grp.getgrgid(home.account.pw_gid).gr_name,
            "2143": str(imap),
            "2993": str(imaps),
            "listen = *": "listen = 127.0.0.1",
        }
        text = recommended("private").replace("listen = *", "listen = 127.0.0.1")
        del changes["listen = *"]
        home.write("dovecot.conf", adapted(text, changes))
        with dovecot(f"{home.path}/dovecot.conf", home.top, imap, home.options()) as log_path:
            yield Servers(home, imap, imaps, log_path)


def fetched(client: imaplib.IMAP4, number: bytes, what: str) -> bytes:
    (answer, *_) = client.fetch(number.decode(), f"({what})")[1]
    assert answer is not None
    return answer[1] if isinstance(answer, tuple) else answer


@pytest.mark.parametrize("name", ["aku", f"aku@{HOST}", BUDI])
def test_what_we_deliver_is_read_by_imap(servers: Servers, name: str) -> None:
    address = name if "@" in name else f"{name}@{HOST}"
    servers.deliver(address, f"first for {name}")

    with servers.imap(name) as client:
        (number,) = client.search(None, "SUBJECT", f'"first for {name}"')[1][0].split()
        text = fetched(client, number, "BODY[]")

    assert text.startswith(b"Return-Path: <sue@far.example.net>\r\n")
    assert text.endswith(f"\r\n\r\n.first for {name}\r\n".encode())


def test_flags_that_imap_sets_change_nothing_for_pop3(servers: Servers) -> None:
    servers.deliver(BUDI, "flagged")
    servers.home.wait(lambda: uidls(servers, "flagged") != [], "POP3 does not show it")
    before = uidls(servers, "flagged")

    with servers.imap(BUDI) as client:
        (number,) = client.search(None, "SUBJECT", "flagged")[1][0].split()
        client.store(number.decode(), "+FLAGS", r"(\Seen \Flagged \Answered)")

    assert uidls(servers, "flagged") == before
    with servers.imap(BUDI) as client:
        (number,) = client.search(None, "FLAGGED")[1][0].split()
        assert {b"\\Seen", b"\\Flagged", b"\\Answered"} <= set(
            imaplib.ParseFlags(fetched(client, number, "FLAGS"))
        )


def uidls(servers: Servers, subject: str) -> list[bytes]:
    """Return the identifiers of the messages of a subject, as POP3 shows them."""
    found = []
    with servers.pop3(BUDI) as client:
        for line in client.uidl()[1]:
            number, uidl = line.split()
            if f"Subject: {subject}".encode() in client.top(int(number), 0)[1]:
                found.append(uidl)
    return found


def test_what_one_deletes_is_gone_for_the_other(servers: Servers) -> None:
    for subject in ("gone by pop", "gone by imap", "stays"):
        servers.deliver(BUDI, subject)
    servers.home.wait(lambda: uidls(servers, "stays") != [], "POP3 does not show it")

    with servers.pop3(BUDI) as client:
        for line in client.list()[1]:
            number = int(line.split()[0])
            if b"Subject: gone by pop" in client.top(number, 0)[1]:
                client.dele(number)
    with servers.imap(BUDI) as client:
        (number,) = client.search(None, "SUBJECT", '"gone by imap"')[1][0].split()
        client.store(number.decode(), "+FLAGS", r"\Deleted")
        client.expunge()

    assert servers.found(BUDI, "gone by pop") == []
    assert uidls(servers, "gone by imap") == []
    assert len(uidls(servers, "stays")) == len(servers.found(BUDI, "stays")) == 1


@pytest.mark.parametrize(
    ("name", "password"), [("aku", "wrong"), (BUDI, ""), ("budi", PASSWORD), ("nobody", "x")]
)
def test_who_does_not_know_the_password_is_refused(
    servers: Servers, name: str, password: str
) -> None:
    servers.forget_guesses()

    with (
        pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"),
        servers.imap(name, password),
    ):
        pass


def test_tls_from_the_start_shows_the_certificate_of_the_home(servers: Servers) -> None:
    with servers.imaps() as client:
        client.login("aku", PASSWORD)
        assert client.select()[0] == "OK"


def test_dovecot_has_nothing_to_complain_about(servers: Servers) -> None:
    complaints = [line for line in servers.log().splitlines() if " Error: " in line]

    assert complaints == []
    assert "Warning" not in servers.log()
