"""AUTH in a session: when it is offered, what it gives, and what it must not."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from scramp import ScramClient
from tests.support.scram import keys_of
from tests.support.smtp_host import (
    ENVELOPE,
    MESSAGE,
    QUIT,
    AnyCertificate,
    Host,
    Passwords,
)

from pyqmail.errors import TransientFailure

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = b"AUTH PLAIN " + base64.b64encode(b"\0joe\0secret") + b"\r\n"
WRONG = b"AUTH PLAIN " + base64.b64encode(b"\0joe\0guess") + b"\r\n"
TLS = b"STARTTLS\r\n"
FAR = b"MAIL FROM:<joe@example.org>\r\nRCPT TO:<far@example.com>\r\n"
REFUSED = b"535 authorization failed (#5.7.0)"
TAKEN = b"235 ok, go ahead (#2.0.0)"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.offer(certificates=AnyCertificate(), verifier=Passwords(), host=b"mail.example.org")
    return host


def b64(text: bytes) -> bytes:
    return base64.b64encode(text) + b"\r\n"


def test_auth_is_offered_once_tls_is_spoken(host: Host) -> None:
    _, lines = host.hold(b"EHLO x\r\n", TLS, b"EHLO x\r\n", PLAIN, b"EHLO x\r\n")

    offers = [b" ".join(part.split(b"\n")) for part in b"\n".join(lines).split(b"250-mail")]
    assert b"STARTTLS" in offers[1]
    assert b"AUTH" not in offers[1]
    assert b"STARTTLS" not in offers[2]
    assert b"AUTH PLAIN LOGIN" in offers[2]
    assert b"AUTH" not in offers[3]


def test_a_password_is_not_looked_at_before_tls(host: Host) -> None:
    _, lines = host.hold(PLAIN + FAR)

    assert lines[0] == b"538 auth not available without TLS (#5.7.11)"
    assert lines[-1].startswith(b"553 ")
    assert host.services.verifier.asked == []  # type: ignore[union-attr]


def test_a_password_in_clear_is_taken_where_that_is_wanted(host: Host) -> None:
    host.set("authwithouttls", "1\n")

    _, lines = host.hold(b"EHLO x\r\n" + PLAIN)

    assert b"250 AUTH PLAIN LOGIN" in lines
    assert lines[-1] == TAKEN


def test_who_is_known_may_relay(host: Host) -> None:
    _, lines = host.hold(TLS, b"HELO x\r\n" + PLAIN + FAR + MESSAGE + QUIT)

    assert lines[-2].startswith(b"250 ok ")
    (queued,) = host.queue.queued
    assert queued.forward_paths == [b"far@example.com"]
    assert queued.message.startswith(
        b"Received: from unknown (HELO x) (joe@unknown)\n  by unknown with ESMTPSA; "
    )


def test_a_suffix_for_relay_clients_stays(host: Host) -> None:
    host.hold(TLS, PLAIN + FAR + MESSAGE, RELAYCLIENT=b"@gate")

    assert host.queue.queued[0].forward_paths == [b"far@example.com@gate"]


def test_tls_alone_is_named_in_the_field(host: Host) -> None:
    host.hold(TLS, ENVELOPE + MESSAGE)

    assert b" with ESMTPS; " in host.queue.queued[0].message


def test_what_was_proved_before_tls_is_forgotten(host: Host) -> None:
    host.set("authwithouttls", "1\n")

    _, lines = host.hold(PLAIN, TLS, FAR)

    assert lines[-1] == b"553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"


def test_a_wrong_password_is_refused_and_gives_nothing(host: Host) -> None:
    _, lines = host.hold(TLS, WRONG + FAR)

    assert lines[1] == REFUSED
    assert lines[-1].startswith(b"553 ")


def test_who_guesses_is_sent_away(host: Host) -> None:
    status, lines = host.hold(TLS, WRONG * 10)

    assert status == 1
    assert lines[1:] == [REFUSED] * 5 + [b"421 too many failed authentications (#4.7.0)"]


def test_a_store_that_cannot_say_is_no_refusal(host: Host) -> None:
    host.offer(verifier=Passwords(failure=TransientFailure(b"away")))

    _, lines = host.hold(TLS, PLAIN * 7)

    assert lines[1:] == [b"454 oops, unable to check that now (#4.3.0)"] * 7


def test_login_asks_for_name_and_password(host: Host) -> None:
    _, lines = host.hold(TLS, b"AUTH LOGIN\r\n" + b64(b"joe") + b64(b"secret"))

    assert lines[1:] == [b"334 VXNlcm5hbWU6", b"334 UGFzc3dvcmQ6", TAKEN]


def test_plain_may_be_asked_for(host: Host) -> None:
    _, lines = host.hold(TLS, b"AUTH PLAIN\r\n" + b64(b"\0joe\0secret"))

    assert lines[1:] == [b"334 ", TAKEN]


def test_cram_md5_is_checked_by_the_store(host: Host) -> None:
    passwords = Passwords(mechanisms=(b"CRAM-MD5",))
    host.offer(verifier=passwords)

    _, lines = host.hold(TLS, b"AUTH CRAM-MD5\r\n", b64(b"joe " + b"a" * 32))

    (claim,) = passwords.asked
    challenge = base64.b64decode(lines[1].removeprefix(b"334 "))
    assert claim.challenge == challenge  # type: ignore[attr-defined]
    assert challenge.endswith(b"@mail.example.org>")
    assert lines[2] == TAKEN


def test_scram_is_held_with_the_keys_of_the_store(host: Host) -> None:
    host.offer(verifier=Passwords(mechanisms=(b"SCRAM-SHA-256",), keys=keys_of("secret")))
    client = ScramClient(["SCRAM-SHA-256"], "joe", "secret")

    class Dialogue(list[bytes]):
        """What the client says depends on what it heard."""

        def pop(self, index: int = 0) -> bytes:  # type: ignore[override]
            piece = super().pop(index)
            heard = host.stream.heard[-1].removeprefix(b"334 ").rstrip()
            if piece == b"final":
                client.set_server_first(base64.b64decode(heard).decode())
                return b64(client.get_client_final().encode())
            if piece == b"thanks":
                client.set_server_final(base64.b64decode(heard).decode())
                return b"\r\n"
            return piece

    first = b"AUTH SCRAM-SHA-256 " + b64(client.get_client_first().encode())
    pieces = Dialogue([TLS, first, b"final", b"thanks", b"NOOP\r\n"])
    status, lines = host.hold_pieces(pieces)

    assert lines[-2:] == [TAKEN, b"250 ok"]
    assert status == 1


def test_the_store_hears_of_a_scram_that_failed(host: Host) -> None:
    passwords = Passwords(mechanisms=(b"SCRAM-SHA-256",), keys=keys_of("secret"))
    host.offer(verifier=passwords)
    final = b64(b"c=biws,r=x,p=" + base64.b64encode(bytes(32)))

    _, lines = host.hold(TLS, b"AUTH SCRAM-SHA-256 " + b64(b"n,,n=joe,r=x") + final)

    assert lines[-1] == REFUSED
    assert passwords.refused == [b"joe"]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"AUTH\r\n", b"501 malformed auth input (#5.5.4)"),
        (b"AUTH PLAIN %\r\n", b"501 malformed auth input (#5.5.4)"),
        (b"AUTH PLAIN =\r\n", b"501 malformed auth input (#5.5.4)"),
        (b"AUTH PLAIN AAA\r\n", b"501 malformed auth input (#5.5.4)"),
        (b"AUTH PLAIN\r\n*\r\n", b"501 auth exchange cancelled (#5.0.0)"),
        (b"AUTH PLAIN\r\n" + b"x" * 20000 + b"\r\n", b"500 line too long (#5.5.2)"),
        (b"AUTH LOGIN\r\n%\r\n", b"501 malformed auth input (#5.5.4)"),
        (b"AUTH LOGIN\r\n\nQUIT\r\n", b"501 malformed auth input (#5.5.4)"),
        (b"AUTH GSSAPI\r\n", b"504 auth type unimplemented (#5.5.1)"),
        (b"AUTH CRAM-MD5\r\n", b"504 auth type unimplemented (#5.5.1)"),
        (PLAIN + PLAIN, b"503 you're already authenticated (#5.5.0)"),
        (ENVELOPE + PLAIN, b"503 no auth during mail transaction (#5.5.0)"),
        (b"AUTH PLAIN " + b64(b"\0joe\0secret\0"), b"501 malformed auth input (#5.5.4)"),
        (b"AUTH PLAIN " + b64(b"\0\0"), b"501 malformed auth input (#5.5.4)"),
        (b"AUTH PLAIN " + b64(b"root\0joe\0secret"), REFUSED),
    ],
)
def test_what_is_no_authentication_is_refused(host: Host, said: bytes, heard: bytes) -> None:
    _, lines = host.hold(TLS, said + b"NOOP\r\n")

    assert lines[-2:] == [heard, b"250 ok"]


def test_without_a_store_auth_is_no_command(host: Host) -> None:
    host.offer(verifier=None)

    _, lines = host.hold(TLS, PLAIN)

    assert lines[-1] == b"502 unimplemented (#5.5.1)"


def test_where_it_is_required_nobody_else_sends(host: Host) -> None:
    _, lines = host.hold(TLS, ENVELOPE + PLAIN + ENVELOPE, SMTPAUTH=b"!")

    assert lines[1] == b"530 authentication required (#5.7.1)"
    assert lines[-2:] == [b"250 ok", b"250 ok"]


def test_a_user_sends_as_whom_the_table_says(host: Host) -> None:
    host.set("authsenders", "joe:joe@example.org\njoe:@example.com\nann:ann@example.org\n")

    _, lines = host.hold(
        TLS,
        PLAIN
        + b"MAIL FROM:<Joe@Example.org>\r\nMAIL FROM:<any@example.com>\r\nMAIL FROM:<>\r\n"
        + b"MAIL FROM:<ann@example.org>\r\nMAIL FROM:<joe>\r\nMAIL FROM:<x@sub.example.com>\r\n",
    )

    refused = b"553 sorry, you may not send with that envelope sender (#5.7.1)"
    assert lines[2:] == [b"250 ok", b"250 ok", b"250 ok", refused, b"250 ok", refused]


def test_the_table_does_not_bind_who_is_not_known(host: Host) -> None:
    host.set("authsenders", "joe:joe@example.org\n")

    _, lines = host.hold(ENVELOPE)

    assert lines == [b"250 ok", b"250 ok"]
