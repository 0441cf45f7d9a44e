"""Users who need no accounts: mail for a virtual domain comes in, is read, and is answered."""

from __future__ import annotations

import contextlib
import json
import os
import poplib
import smtplib
import ssl
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from tests.support.private_home import HOST, PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

DOMAIN = "virtual.example.org"
BUDI = f"budi@{DOMAIN}"
SERVICES = ("smtp", "submission", "smtps", "pop3", "pop3s")
ANYWHERE = tuple(f"--listen={name}=127.0.0.1:0" for name in SERVICES)
LETTER = b"Subject: hello\r\n\r\nfrom afar\r\n"
NO_MAILBOX = (550, b"sorry, no mailbox here by that name. (#5.1.1)")


class Service(PrivateHome):
    """A running home with aku, who sends, and users who come while it runs."""

    @property
    def ports(self) -> dict[str, int]:
        services = json.loads(self.log().partition("\n")[0])["services"]
        return {name: place["port"] for name, place in services.items()}

    def smtp(self, name: str = "smtp") -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.ports[name], "client.example.net", timeout=20)

    def add(self, name: str, password: str) -> str:
        """Add a user; return the folder that programs are told."""
        answer = self.run(
            "qmailctl", "user", "add", name, "--json", "--password", text=password.encode() + b"\n"
        )
        assert answer.returncode == 0, answer.stderr
        folder: str = json.loads(answer.stdout)["folder"]
        return folder

    def letters(self, folder: str) -> list[bytes]:
        found = []
        for name in os.listdir(f"{folder}/Maildir/new"):
            with open(f"{folder}/Maildir/new/{name}", "rb") as file:
                found.append(file.read())
        return found

    def wait_for_letters(self, folder: str, count: int = 1) -> list[bytes]:
        self.wait(lambda: len(self.letters(folder)) >= count, f"nothing arrives in {folder}")
        return self.letters(folder)

    def answer_to(self, recipient: str) -> tuple[int, bytes]:
        """Say what a stranger hears who names this recipient."""
        with self.smtp() as client:
            client.helo()
            client.mail("sue@far.example.net")
            return client.rcpt(recipient)

    def send(self, recipient: str) -> None:
        with self.smtp() as client:
            client.sendmail("sue@far.example.net", [recipient], LETTER)


@pytest.fixture(scope="module")
def home() -> Iterator[Service]:
    with Service("aku") as home:
        home.start("--json", *ANYWHERE)
        yield home
        assert home.stop() == 0


def test_a_domain_is_served_as_soon_as_it_has_a_user(home: Service) -> None:
    assert home.answer_to(f"ani@new.{DOMAIN}")[0] == 553

    folder = home.add(f"ani@new.{DOMAIN}", "x")
    home.send(f"ani@new.{DOMAIN}")

    (letter,) = home.wait_for_letters(folder)
    assert f"\nDelivered-To: new.{DOMAIN}-ani@new.{DOMAIN}\n".encode() in letter
    assert letter.endswith(b"Subject: hello\n\nfrom afar\n")


def test_who_does_not_exist_in_the_domain_is_refused_at_once(home: Service) -> None:
    home.add(BUDI, "x")

    # What qmail-smtpd knows of virtualdomains is a second old at most.
    home.wait(lambda: home.answer_to(f"nobody@{DOMAIN}") == NO_MAILBOX, "nobody is somebody")
    assert home.answer_to(f"aku@{DOMAIN}") == NO_MAILBOX
    assert home.answer_to(f"budi@{HOST}") == NO_MAILBOX
    assert home.answer_to(BUDI) == (250, b"ok")
    assert home.answer_to(f"postmaster@{DOMAIN}") == (250, b"ok")


def test_an_extension_is_there_once_its_user_says_so(home: Service) -> None:
    folder = home.add(f"caca@{DOMAIN}", "x")
    home.wait(lambda: home.answer_to(f"caca-list@{DOMAIN}") == NO_MAILBOX, "there is a list")

    home.write(os.path.relpath(f"{folder}/.qmail-list", home.path), "./Maildir/\n")
    home.send(f"caca-list@{DOMAIN}")

    (letter,) = home.wait_for_letters(folder)
    assert f"-caca-list@{DOMAIN}\n".encode() in letter


def test_a_bounce_names_the_user_as_the_sender_does(home: Service) -> None:
    home.add(BUDI, "x")
    folder = home.add(f"dodo@{DOMAIN}", "x")
    home.write(os.path.relpath(f"{folder}/.qmail", home.path), "|echo go away; exit 100\n")
    home.remove_mail("aku")

    home.inject(f"to: dodo@{DOMAIN}, nobody@{DOMAIN}\n\nhello\n".encode(), f"-faku@{HOST}")

    (bounce,) = home.wait_for_letters(home.home_of("aku"))
    assert f"<dodo@{DOMAIN}>:\ngo away\n".encode() in bounce
    assert f"<nobody@{DOMAIN}>:\nSorry, no mailbox here by that name. (#5.1.1)\n".encode() in bounce
    assert f"{DOMAIN}-".encode() not in bounce


@pytest.mark.parametrize(
    ("name", "logins"),
    [(f"eka@{DOMAIN}", (f"eka@{DOMAIN}", f"Eka@{DOMAIN}")), ("fajar", ("fajar", f"fajar@{HOST}"))],
)
def test_one_password_reads_and_sends(home: Service, name: str, logins: tuple[str, ...]) -> None:
    home.add(name, "correct horse")

    for login in logins:
        with contextlib.closing(poplib.POP3("127.0.0.1", home.ports["pop3"], timeout=20)) as client:
            client.user(login)
            client.pass_("correct horse")
            assert client.quit().startswith(b"+OK")
        with home.smtp("submission") as sender:
            sender._host = HOST  # noqa: SLF001  the name that the certificate must have
            certificate = f"{home.path}/control/servercert.pem"
            sender.starttls(context=ssl.create_default_context(cafile=certificate))
            sender.login(login, "correct horse")
            sender.mail(name if "@" in name else f"{name}@{HOST}")
            assert sender.rcpt("ann@far.example.net") == (250, b"ok")


def test_a_client_that_does_what_its_file_says_reads_and_sends(home: Service) -> None:
    home.add(f"hadi@{DOMAIN}", "correct horse")
    ports = [f"--port={name}={port}" for name, port in home.ports.items() if name != "smtp"]
    folder = f"{home.path}/run"

    answer = home.run("qmailctl", "autoconfig", folder, f"--domain={DOMAIN}", *ports)

    assert answer.returncode == 0, answer.stderr
    top = ET.parse(f"{folder}/{DOMAIN}/.well-known/autoconfig/mail/config-v1.1.xml").getroot()
    tls = ssl.create_default_context(cafile=f"{home.path}/control/servercert.pem")
    for server in (*top.iter("incomingServer"), *top.iter("outgoingServer")):
        host, port = server.findtext("hostname"), int(server.findtext("port") or 0)
        user = (server.findtext("username") or "").replace("%EMAILADDRESS%", f"hadi@{DOMAIN}")
        at_once = server.findtext("socketType") == "SSL"
        assert host == HOST  # which the DNS would turn into this machine
        if server.get("type") == "pop3":
            read_as(user, port, tls, at_once=at_once)
        else:
            send_as(user, port, tls, at_once=at_once)
    assert len([*top.iter("incomingServer"), *top.iter("outgoingServer")]) == 4


def read_as(user: str, port: int, tls: ssl.SSLContext, *, at_once: bool) -> None:
    client: poplib.POP3
    if at_once:
        client = poplib.POP3_SSL("127.0.0.1", port, timeout=20, context=tls)
    else:
        client = poplib.POP3("127.0.0.1", port, timeout=20)
    with contextlib.closing(client):
        if not at_once:
            client.stls(context=tls)
        client.user(user)
        client.pass_("correct horse")
        assert client.quit().startswith(b"+OK")


def send_as(user: str, port: int, tls: ssl.SSLContext, *, at_once: bool) -> None:
    client: smtplib.SMTP
    if at_once:
        client = smtplib.SMTP_SSL("127.0.0.1", port, "client", timeout=20, context=tls)
    else:
        client = smtplib.SMTP("127.0.0.1", port, "client", timeout=20)
    with client:
        if not at_once:
            client.starttls(context=tls)
        client.login(user, "correct horse")
        client.mail(user)
        assert client.rcpt("ann@far.example.net") == (250, b"ok")


def test_who_was_removed_can_neither_get_mail_nor_read_it(home: Service) -> None:
    home.add(BUDI, "x")
    home.add(f"gita@{DOMAIN}", "y")

    answer = home.run("qmailctl", "user", "remove", f"gita@{DOMAIN}", "--with-mail", "--json")

    assert json.loads(answer.stdout) == {
        "name": f"gita@{DOMAIN}",
        "folder": f"{home.path}/domains/{DOMAIN}/gita",
        "mail": True,
        "domain": False,
    }
    home.wait(lambda: home.answer_to(f"gita@{DOMAIN}") == NO_MAILBOX, "gita is there still")
    with contextlib.closing(poplib.POP3("127.0.0.1", home.ports["pop3"], timeout=20)) as client:
        client.user(f"gita@{DOMAIN}")
        with pytest.raises(poplib.error_proto, match="authorization failed"):
            client.pass_("y")
