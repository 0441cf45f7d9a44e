"""Clients that others wrote send through a whole home: tcpserver, qmail-smtpd, passwords, Maildirs.

qmail-smtpd is an application in our tcpserver's process, and passwords are
looked up in process by what `qmailctl user passwd` has written.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import aiosmtplib
import pytest
from tests.support.doors import Doors
from tests.support.peers import require
from tests.support.private_home import HOST, PrivateHome, why_not
from tests.support.unpacked import environ, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("smtp under tcpserver"),
]

PASSWORD = "correct horse"
SENDER = f"aku@{HOST}"
TO = f"kamu@{HOST}"
MESSAGE = f"From: {SENDER}\nTo: {TO}\nSubject: x\n\nhello\n.dot\n".encode()
WIRE = MESSAGE.replace(b"\n", b"\r\n")
SECONDS = 30  # for one message


class Site:
    """A running home with aku, who has a password, kamu, who gets the mail, and open doors."""

    def __init__(self, home: PrivateHome, doors: Doors) -> None:
        self.home = home
        self.doors = doors

    def received(self) -> bytes:
        """Return the one message that kamu has got."""
        self.home.wait(lambda: bool(self.home.mail("kamu")), "nothing arrives")
        (message,) = self.home.mail("kamu")
        return message

    def client(self, *argv: str, text: bytes = b"") -> None:
        """Run a client, which must succeed, as somebody with an empty HOME."""
        options = self.home.options(HOME=self.home.home_of("aku"))
        answer = subprocess.run(
            argv, input=text, check=False, capture_output=True, timeout=SECONDS, **options
        )
        assert answer.returncode == 0, (answer.stdout, answer.stderr, self.doors.smtp.lines())


@pytest.fixture(scope="module")
def running_site() -> Iterator[Site]:
    with PrivateHome("aku", "kamu") as home:
        set_password(home, "aku")
        home.write("control/rcpthosts", HOST + "\n")
        home.start_alone("./Maildir/")
        with Doors(home) as doors:
            yield Site(home, doors)


@pytest.fixture
def site(running_site: Site) -> Site:
    running_site.home.remove_mail("kamu")
    return running_site


def set_password(home: PrivateHome, user: str) -> None:
    answer = home.run(
        *("qmailctl", "user", "passwd", user, "--plain", "--home", home.path),
        text=PASSWORD.encode() + b"\n",
    )
    assert answer.returncode == 0, answer


def assert_sent(site: Site, how: bytes, text: bytes = b"hello\n") -> None:
    """Check that the message came whole, and that its trace says how, and who sent it."""
    message = site.received()
    assert b" with " + how + b"; " in message, message
    assert (b" (aku@127.0.0.1)" in message) == how.endswith(b"A"), message
    assert text in message


# Python's own clients.


def test_smtplib_sends_in_the_clear_to_a_user(site: Site) -> None:
    with smtplib.SMTP("127.0.0.1", site.doors.smtp.port) as client:
        client.sendmail("sue@example.net", [TO], WIRE)

    assert_sent(site, b"SMTP")
    assert site.received().endswith(b"\nFrom: " + MESSAGE.partition(b" ")[2])


def test_smtplib_may_not_relay_without_a_password(site: Site) -> None:
    with (
        smtplib.SMTP("127.0.0.1", site.doors.smtp.port) as client,
        pytest.raises(smtplib.SMTPRecipientsRefused),
    ):
        client.sendmail("sue@example.net", ["far@example.com"], WIRE)

    with smtplib.SMTP("127.0.0.1", site.doors.submission.port) as client:
        client.starttls(context=site.doors.authority.context())
        client.ehlo()
        assert client.mail(SENDER)[0] == 530


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_smtplib_authenticates_after_starttls(site: Site, mechanism: str) -> None:
    with smtplib.SMTP("127.0.0.1", site.doors.submission.port) as client:
        client.starttls(context=site.doors.authority.context())
        client.ehlo()
        client.user, client.password = "aku", PASSWORD
        method = getattr(client, "auth_" + mechanism.lower().replace("-", "_"))
        assert client.auth(mechanism, method)[0] == 235
        assert client.mail(SENDER)[0] == 250
        assert client.rcpt("far@example.com")[0] == 250
        client.rset()
        client.sendmail(SENDER, [TO], WIRE)

    assert_sent(site, b"ESMTPSA")


def test_a_wrong_password_is_refused(site: Site) -> None:
    context = site.doors.authority.context()
    with smtplib.SMTP_SSL("127.0.0.1", site.doors.smtps.port, context=context) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login("aku", "wrong")
        assert client.mail(SENDER)[0] == 530

    assert refused.value.smtp_code == 535


@pytest.mark.parametrize("implicit", [False, True])
def test_aiosmtplib_sends(site: Site, *, implicit: bool) -> None:
    server = site.doors.smtps if implicit else site.doors.submission

    async def send() -> None:
        await aiosmtplib.send(
            WIRE,
            sender=SENDER,
            recipients=[TO],
            hostname="127.0.0.1",
            port=server.port,
            use_tls=implicit,
            start_tls=not implicit,
            tls_context=site.doors.authority.context(),
            username="aku",
            password=PASSWORD,
        )

    asyncio.run(send())

    assert_sent(site, b"ESMTPSA")


def certificate_of(port: int, context: ssl.SSLContext) -> bytes:
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True) or b""


def test_a_new_certificate_serves_the_next_session_and_the_old_one_goes_on(site: Site) -> None:
    port, authority = site.doors.smtp.port, site.doors.authority
    pid = site.doors.smtp.worker()
    before = certificate_of(port, authority.context())
    with smtplib.SMTP("127.0.0.1", port) as old:
        old.starttls(context=authority.context())

        authority.issue(Path(site.home.path, "control"))
        after = certificate_of(port, authority.context())

        assert old.noop()[0] == 250
    assert before != after
    assert site.doors.smtp.worker() == pid  # nobody was restarted


# Everybody else's.


@pytest.mark.peer
@pytest.mark.parametrize("options", [[], ["--pipeline"]])
@pytest.mark.parametrize("tls", [[], ["--tls"]])
def test_swaks_sends_to_a_user(site: Site, tls: list[str], options: list[str]) -> None:
    site.client(
        require("swaks", "swaks"), "--silent", "2", *tls, *options,
        "--server", f"127.0.0.1:{site.doors.smtp.port}", "--from", SENDER, "--to", TO,
        "--body", "hello",
    )  # fmt: skip

    assert_sent(site, b"ESMTPS" if tls else b"SMTP")


@pytest.mark.peer
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("implicit", [False, True])
def test_swaks_authenticates(site: Site, mechanism: str, *, implicit: bool) -> None:
    server = site.doors.smtps if implicit else site.doors.submission
    site.client(
        require("swaks", "swaks"), "--silent", "2", "--server", f"127.0.0.1:{server.port}",
        "--tls-on-connect" if implicit else "--tls", "--auth", mechanism,
        "--au", "aku", "--ap", PASSWORD, "--from", SENDER, "--to", TO, "--body", "hello",
    )  # fmt: skip

    assert_sent(site, b"ESMTPSA")


@pytest.mark.peer
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("implicit", [False, True])
def test_curl_authenticates(site: Site, tmp_path: Path, mechanism: str, *, implicit: bool) -> None:
    message = tmp_path / "message"
    message.write_bytes(WIRE)
    server = site.doors.smtps if implicit else site.doors.submission
    scheme = "smtps" if implicit else "smtp"
    argv = [
        require("curl", "curl"), "--silent", "--show-error", "--ssl-reqd", "--insecure",
        "--user", f"aku:{PASSWORD}", "--login-options", f"AUTH={mechanism}",
        "--mail-from", SENDER, "--mail-rcpt", TO,
        "--upload-file", str(message), f"{scheme}://127.0.0.1:{server.port}/client.example.net",
    ]  # fmt: skip

    subprocess.run(argv, check=True, timeout=SECONDS)

    assert_sent(site, b"ESMTPSA")


@pytest.mark.peer
@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5", "scram-sha-256"])
@pytest.mark.parametrize("starttls", ["on", "off"])
def test_msmtp_authenticates(site: Site, mechanism: str, starttls: str) -> None:
    server = site.doors.submission if starttls == "on" else site.doors.smtps
    site.client(
        require("msmtp", "msmtp"), "--host=127.0.0.1", f"--port={server.port}", "--tls=on",
        f"--tls-starttls={starttls}", "--tls-certcheck=off", f"--auth={mechanism}", "--user=aku",
        f"--passwordeval=echo '{PASSWORD}'", f"--from={SENDER}", TO,
        text=MESSAGE,
    )  # fmt: skip

    assert_sent(site, b"ESMTPSA")


@pytest.mark.peer
@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5", "scram-sha-256"])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mutt_authenticates(site: Site, mechanism: str, scheme: str) -> None:
    server = site.doors.smtps if scheme == "smtps" else site.doors.submission
    ours = f"{site.home.path}/control/servercert.pem"
    settings = [
        f'set smtp_url="{scheme}://aku@127.0.0.1:{server.port}" smtp_pass="{PASSWORD}"',
        f'set smtp_authenticators="{mechanism}" ssl_starttls=yes ssl_force_tls=yes',
        f'set certificate_file="{ours}" ssl_verify_host=no',
        f"set from={SENDER} copy=no",
    ]
    options = [word for setting in settings for word in ("-e", setting)]
    site.client(
        *(require("mutt", "mutt"), "-n", "-F", "/dev/null", *options, "-s", "x", "--", TO),
        text=b"hello\n",
    )

    assert_sent(site, b"ESMTPSA")


@pytest.mark.peer
def test_smtp_source_sends_many_over_several_sessions(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = unpack("postfix", tmp_path_factory.mktemp("smtp-source"))

    subprocess.run(
        [f"{root}/usr/sbin/smtp-source", "-s", "5", "-m", "40", "-l", "1000",
         "-f", SENDER, "-t", TO, "-M", "client.example.net", f"127.0.0.1:{site.doors.smtp.port}"],
        env=environ(root), check=True, timeout=SECONDS,
    )  # fmt: skip

    site.home.wait(lambda: len(site.home.mail("kamu")) >= 40, "not all have arrived")
    assert len(site.home.mail("kamu")) == 40
