"""A password that comes before TLS: it is not looked at, in whatever way it is sent."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from tests.support.smtp_host import AnyCertificate, Host, Passwords

if TYPE_CHECKING:
    from pathlib import Path

NEEDS_TLS = b"538 auth not available without TLS (#5.7.11)"
RELAYED = b"MAIL FROM:<joe@example.org>\r\nRCPT TO:<far@example.com>\r\n"
SECRET = base64.b64encode(b"\0joe\0secret")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.offer(certificates=AnyCertificate(), verifier=Passwords())
    return host


@pytest.mark.parametrize("mechanism", [b"PLAIN", b"LOGIN", b"plain", b"CRAM-MD5", b"GSSAPI"])
def test_no_mechanism_begins(host: Host, mechanism: bytes) -> None:
    _, lines = host.hold(b"AUTH " + mechanism + b"\r\n" + SECRET + b"\r\n" + RELAYED)

    assert lines[:2] == [NEEDS_TLS, b"502 unimplemented (#5.5.1)"]
    assert lines[-1].startswith(b"553 ")


def test_no_initial_response_is_looked_at(host: Host) -> None:
    passwords = Passwords()
    host.offer(verifier=passwords)

    _, lines = host.hold(b"AUTH PLAIN " + SECRET + b"\r\n" + RELAYED)

    assert lines[0] == NEEDS_TLS
    assert passwords.asked == []


def test_also_where_there_is_no_tls_to_be_had(host: Host) -> None:
    host.offer(certificates=None)

    _, lines = host.hold(b"EHLO x\r\nAUTH PLAIN " + SECRET + b"\r\n")

    assert lines[-1] == NEEDS_TLS
    assert not any(b"AUTH" in line for line in lines[:-1])


def test_what_is_pipelined_behind_starttls_is_no_login_either(host: Host) -> None:
    passwords = Passwords()
    host.offer(verifier=passwords)

    _, lines = host.hold(b"STARTTLS\r\nAUTH PLAIN " + SECRET + b"\r\n", RELAYED)

    assert lines[-1].startswith(b"553 ")
    assert passwords.asked == []
