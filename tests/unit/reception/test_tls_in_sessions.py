"""When TLS begins in a session, and what happens where it cannot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.support import simulated_time
from tests.support.sessions import MemoryStream
from tests.support.smtp_host import ENVELOPE, MESSAGE, QUIT, AnyCertificate, Host, Passwords

from pyqmail.errors import TransientFailure
from pyqmail.reception import transaction
from pyqmail.reception.smtp import FAILURE, SUCCESS, Services, serve
from pyqmail.system.tls import CertificateError, Certificates

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


class Fickle(AnyCertificate):
    """A certificate that can be used `times` times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def context(self, ciphers: str | None) -> ssl.SSLContext:
        """Give it, or fail."""
        self.times -= 1
        if self.times < 0:
            raise CertificateError("no certificate")
        return super().context(ciphers)


class Deaf(MemoryStream):
    """A client that never answers the handshake."""

    async def start_tls(self, _context: object) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


class Untrusting(MemoryStream):
    """A client that does not like the certificate."""

    async def start_tls(self, _context: object) -> None:
        """Fail as a handshake fails."""
        raise ConnectionResetError


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_certificate_that_cannot_be_used_is_not_offered_and_the_log_says_why(host: Host) -> None:
    host.offer(certificates=Fickle(0))

    _, lines = host.hold(b"EHLO x\r\nSTARTTLS\r\n")

    assert b"250-STARTTLS" not in lines
    assert lines[-1] == b"502 unimplemented (#5.5.1)"
    assert b"TLS and AUTH not available: control/servercert.pem: no certificate" in host.log


def test_a_certificate_that_is_gone_meanwhile_is_a_matter_of_time(host: Host) -> None:
    host.offer(certificates=Fickle(1))

    _, lines = host.hold(b"STARTTLS\r\nNOOP\r\n")

    assert lines == [b"454 TLS not available (#4.3.0)", b"250 ok"]


def test_a_session_may_begin_with_tls(host: Host) -> None:
    host.offer(certificates=AnyCertificate())

    status, lines = host.hold(b"EHLO x\r\n" + ENVELOPE + MESSAGE + QUIT, SMTPS=b"")

    assert status == SUCCESS
    assert not any(b"STARTTLS" in line for line in lines)
    assert b" with ESMTPS; " in host.queue.queued[0].message


def test_it_does_not_begin_where_there_is_no_certificate(host: Host) -> None:
    status, _ = host.hold(QUIT, SMTPS=b"")

    assert status == FAILURE
    assert host.stream.transcript() == b""


@pytest.mark.parametrize("environ", [{}, {b"SMTPS": b""}])
def test_a_handshake_has_a_minute(host: Host, environ: dict[bytes, bytes]) -> None:
    stream = Deaf([b"STARTTLS\r\n"])
    services = Services(certificates=AnyCertificate())  # type: ignore[arg-type]

    status, seconds = simulated_time.run(
        serve(host.home, environ, stream, host.queue, services)  # type: ignore[arg-type]
    )

    assert (status, seconds) == (FAILURE, 60)


def test_a_client_that_does_not_trust_us_is_gone(host: Host) -> None:
    stream = Untrusting([b"STARTTLS\r\n"])
    services = Services(certificates=AnyCertificate())  # type: ignore[arg-type]

    status = asyncio.run(serve(host.home, {}, stream, host.queue, services))  # type: ignore[arg-type]

    assert status == FAILURE
    assert stream.transcript().endswith(b"220 ready for tls\r\n")


def test_the_log_says_so_where_everybody_may_relay(host: Host) -> None:
    (host.control / "rcpthosts").unlink()

    host.hold(QUIT)
    host.hold(QUIT, RELAYCLIENT=b"")

    assert host.log == [b"control/rcpthosts is absent: mail is relayed for everybody"]


def test_a_message_in_chunks_needs_a_queue_at_its_end(host: Host) -> None:
    host.queue.broken = True

    _, lines = host.hold(ENVELOPE + b"BDAT 1\r\naBDAT 1 LAST\r\nb" + ENVELOPE + b"BDAT 1 LAST\r\nb")

    refused = b"451 qqt failure (#4.3.0)"
    assert lines[2:] == [refused, b"503 MAIL first (#5.5.1)", b"250 ok", b"250 ok", refused]


def test_a_recipient_that_nobody_can_check_is_asked_to_come_again(host: Host) -> None:
    async def fail(_address: bytes) -> bool:
        raise TransientFailure(b"away")

    host.offer(recipient_exists=fail)

    _, lines = host.hold(ENVELOPE)

    assert lines[-1] == b"451 sorry, i can't check that mailbox now (#4.3.0)"


def test_our_own_numbers_must_be_known_for_a_recipient_too(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> frozenset[bytes]:
        raise OSError

    monkeypatch.setattr(transaction, "local_addresses", fail)

    _, lines = host.hold(b"MAIL FROM:<>\r\nRCPT TO:<a@[127.0.0.1]>\r\n")

    assert lines[-1] == b"421 unable to figure out my IP addresses (#4.3.0)"


@pytest.mark.parametrize(
    ("verifier", "environ", "controls", "told"),
    [
        (None, {}, {}, False),
        (Passwords(), {}, {}, True),
        (Passwords(), {}, {"authwithouttls": "1\n"}, False),
        (None, {"SMTPS": b""}, {}, True),
    ],
)
def test_a_service_that_is_of_no_use_without_a_certificate_says_so_in_the_log(
    host: Host,
    verifier: Passwords | None,
    environ: dict[str, bytes],
    controls: dict[str, str],
    told: bool,  # noqa: FBT001
) -> None:
    for name, text in controls.items():
        host.set(name, text)
    certificates = Certificates(f"{host.home}/control/servercert.pem")
    host.offer(certificates=certificates, verifier=verifier)

    host.hold(b"EHLO x\r\n" + QUIT, **environ)

    line = b"TLS and AUTH not available: control/servercert.pem: absent"
    assert (line in host.log) == told
