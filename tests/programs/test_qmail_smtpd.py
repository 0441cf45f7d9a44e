"""qmail-smtpd as a command, with clients that are not ours."""

from __future__ import annotations

import asyncio
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiosmtplib
import pytest
from tests.support.certificates import Authority
from tests.support.listener import Listener
from tests.support.queue_stub import QueueStub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
PASSWORDS = """\
#!/bin/sh
test "$(tr '\\000' : <&3)" = "joe:secret::" || exit 1
exec "$@"
"""


class Server:
    """A home with a certificate and a password program, and qmail-smtpd on a port."""

    def __init__(self, folder: Path, launchers: str, authority: Authority) -> None:
        self.control = folder / "control"
        self.control.mkdir()
        (self.control / "me").write_text("mail.example.org\n")
        (self.control / "rcpthosts").write_text("example.org\n")
        (self.control / "recipientcheck").write_text("0\n")
        self.authority = authority
        authority.issue(self.control)
        passwords = folder / "passwords"
        passwords.write_text(PASSWORDS)
        passwords.chmod(0o755)
        self.stub = QueueStub(f"{folder}/queue-stub", f"{folder}/queued")
        environ = self.environ = {
            "QMAILHOME": str(folder),
            "QMAILQUEUE": self.stub.path,
            "PATH": os.environ["PATH"],
        }
        command = self.command = [
            f"{launchers}/qmail-smtpd",
            "mail.example.org",
            str(passwords),
            "true",
        ]
        self.listener = Listener(command, environ)
        self.secured = Listener(command, {**environ, "SMTPS": ""})

    @property
    def port(self) -> int:
        return self.listener.port


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def server(tmp_path: Path, launchers: str, authority: Authority) -> Iterator[Server]:
    server = Server(tmp_path, launchers, authority)
    with server.listener.running(), server.secured.running():
        yield server


def test_smtplib_starts_tls_authenticates_and_relays(server: Server) -> None:
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.ehlo("client.example.net")
        assert not client.has_extn("auth")
        client.starttls(context=server.authority.context())
        client.ehlo("client.example.net")
        assert not client.has_extn("starttls")
        client.login("joe", "secret")
        client.sendmail("joe@example.org", ["far@example.com"], MESSAGE)

    ((message, envelope),) = server.stub.received()
    assert b"  by unknown with ESMTPSA; " in message
    assert b" (HELO client.example.net) (joe@127.0.0.1)\n" in message
    assert envelope == b"Fjoe@example.org\0Tfar@example.com\0\0"
    assert server.listener.statuses in ([], [0])


@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_a_wrong_password_is_refused_and_the_right_one_taken(
    server: Server, mechanism: str
) -> None:
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.starttls(context=server.authority.context())
        client.ehlo()
        client.user, client.password = "joe", "wrong"
        authenticate = getattr(client, f"auth_{mechanism}")

        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.auth(mechanism.upper(), authenticate)
        client.password = "secret"
        code, _ = client.auth(mechanism.upper(), authenticate)

    assert refused.value.smtp_code == 535
    assert code == 235


def test_implicit_tls(server: Server) -> None:
    context = server.authority.context()
    with smtplib.SMTP_SSL("127.0.0.1", server.secured.port, context=context) as client:
        client.sendmail("sue@example.net", ["joe@example.org"], MESSAGE)

    assert b" with ESMTPS; " in server.stub.received()[0][0]


def test_a_handshake_may_come_right_behind_the_header_of_a_proxy(server: Server) -> None:
    (server.control / "proxypeers").write_text("127.0.0.1\n")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = server.authority.context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    header = b"PROXY TCP4 203.0.113.9 192.0.2.1 4567 465\r\n"

    with socket.create_connection(("127.0.0.1", server.secured.port), 30) as connection:
        connection.sendall(header + outgoing.read())
        greeting = b""
        while not greeting:
            incoming.write(connection.recv(65536))
            try:
                tls.do_handshake()
                greeting = tls.read(1000)
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())

    assert greeting == b"220 mail.example.org ESMTP\r\n"


def test_old_tls_is_not_spoken(server: Server) -> None:
    context = server.authority.context()
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    with smtplib.SMTP("127.0.0.1", server.port) as client, pytest.raises(ssl.SSLError):
        client.starttls(context=context)


def test_only_listed_ciphers_are_spoken(server: Server) -> None:
    (server.control / "tlsserverciphers").write_text("ECDHE-ECDSA-CHACHA20-POLY1305\n")
    context = server.authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.starttls(context=context)
        assert client.sock is not None
        name, _, _ = client.sock.cipher()  # type: ignore[union-attr]

    assert name == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_without_a_certificate_tls_is_not_offered(server: Server) -> None:
    (server.control / "servercert.pem").unlink()

    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.ehlo()

        assert not client.has_extn("starttls")
        assert client.docmd("STARTTLS") == (502, b"unimplemented (#5.5.1)")


def test_aiosmtplib_sends(server: Server) -> None:
    async def send() -> None:
        await aiosmtplib.send(
            MESSAGE,
            sender="joe@example.org",
            recipients=["far@example.com"],
            hostname="127.0.0.1",
            port=server.port,
            start_tls=True,
            tls_context=server.authority.context(),
            username="joe",
            password="secret",
        )

    asyncio.run(send())

    assert b" with ESMTPSA; " in server.stub.received()[0][0]


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@contextmanager
def under_tcpserver(server: Server) -> Iterator[int]:
    """Serve on a free port by a tcpserver that is not ours; yield the port."""
    process = subprocess.Popen(
        [program("tcpserver"), "-1RHl0", "127.0.0.1", "0", *server.command],
        env=server.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@pytest.mark.peer
def test_it_serves_under_another_tcpserver(server: Server) -> None:
    with under_tcpserver(server) as port, smtplib.SMTP("127.0.0.1", port) as client:
        client.starttls(context=server.authority.context())
        client.login("joe", "secret")
        client.sendmail("joe@example.org", ["far@example.com"], MESSAGE)

    assert b" (HELO " in server.stub.received()[0][0]
    assert b" with ESMTPSA; " in server.stub.received()[0][0]


@pytest.mark.peer
def test_curl_sends(server: Server, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(MESSAGE)

    subprocess.run(
        [program("curl"), "--silent", "--ssl-reqd", "--insecure", "--user", "joe:secret",
         "--mail-from", "joe@example.org", "--mail-rcpt", "far@example.com",
         "--upload-file", message, f"smtp://127.0.0.1:{server.port}/client.example.net"],
        check=True, timeout=30,
    )  # fmt: skip

    assert b" with ESMTPSA; " in server.stub.received()[0][0]


LOGIN = ["--au", "joe", "--ap", "secret"]


@pytest.mark.peer
@pytest.mark.parametrize(
    ("options", "word"),
    [
        ([], b"SMTP"),
        (["--tls"], b"ESMTPS"),
        (["--tls", *LOGIN, "--auth", "PLAIN"], b"ESMTPSA"),
        (["--tls", *LOGIN, "--auth", "LOGIN"], b"ESMTPSA"),
        (["--tls", *LOGIN, "--auth", "PLAIN", "--pipeline"], b"ESMTPSA"),
    ],
)
def test_swaks_sends(server: Server, options: list[str], word: bytes) -> None:
    subprocess.run(
        [program("swaks"), "--silent", "2", "--server", f"127.0.0.1:{server.port}",
         "--from", "joe@example.org", "--to", "ann@example.org", *options],
        check=True, timeout=30,
    )  # fmt: skip

    assert b" with " + word + b"; " in server.stub.received()[0][0]


@pytest.mark.peer
def test_msmtp_sends(server: Server, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")

    subprocess.run(
        [program("msmtp"), "--host=127.0.0.1", f"--port={server.port}", "--tls=on",
         "--tls-certcheck=off", "--auth=plain", "--user=joe", f"--passwordeval=cat {password}",
         "--from=joe@example.org", "far@example.com"],
        input=MESSAGE.replace(b"\r\n", b"\n"), check=True, timeout=30,
    )  # fmt: skip

    assert b" with ESMTPSA; " in server.stub.received()[0][0]
