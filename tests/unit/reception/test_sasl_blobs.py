"""Whatever a client says in an exchange: nobody comes in, nothing breaks, the session goes on."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.scram import keys_of
from tests.support.smtp_host import AnyCertificate, Host, Passwords

from pyqmail.protocol.smtp.auth import PasswordClaim

if TYPE_CHECKING:
    from pathlib import Path

MECHANISMS = (b"PLAIN", b"LOGIN", b"CRAM-MD5", b"SCRAM-SHA-256")
KEYS = keys_of("secret")
PARTS = st.sampled_from(
    [b"", b"\0", b"joe", b"secre", b",", b"n,,n=joe,r=x", b"c=biws,", b"\xff", b" "]
)
BLOBS = st.one_of(st.binary(max_size=60), st.lists(PARTS, max_size=8).map(b"".join))


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(mechanisms=MECHANISMS, keys=KEYS)


@pytest.fixture
def host(tmp_path: Path, passwords: Passwords) -> Host:
    host = Host(tmp_path)
    host.offer(certificates=AnyCertificate(), verifier=passwords)
    return host


def assert_asked_for_whole_names(passwords: Passwords) -> None:
    """Check that no store was asked about what another program would read differently."""
    for claim in passwords.asked:
        if isinstance(claim, PasswordClaim):
            for text in (claim.login, claim.password):
                assert text
                assert b"\0" not in text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(mechanism=st.sampled_from(MECHANISMS), blobs=st.lists(BLOBS, min_size=1, max_size=3))
def test_any_bytes_are_refused(
    host: Host, passwords: Passwords, mechanism: bytes, blobs: list[bytes]
) -> None:
    responses = b"".join(base64.b64encode(blob) + b"\r\n" for blob in blobs)

    _, lines = host.hold(
        b"STARTTLS\r\n", b"AUTH " + mechanism + b"\r\n" + responses + b"\r\n*\r\nRSET\r\nNOOP\r\n"
    )

    assert lines[-1] == b"250 ok"
    assert not any(line.startswith(b"235") for line in lines)
    assert_asked_for_whole_names(passwords)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    "blob",
    [b"", b"\0", b"\0\0", b"\0\0\0", b"joe\0", b"\0joe", b"joe\0secret", b"\0joe\0secret\0x"],
)
def test_nuls_and_empty_parts_are_refused(
    host: Host, passwords: Passwords, mechanism: bytes, blob: bytes
) -> None:
    encoded = base64.b64encode(blob) or b"="

    _, lines = host.hold(
        b"STARTTLS\r\n", b"AUTH " + mechanism + b" " + encoded + b"\r\n*\r\nRSET\r\nNOOP\r\n"
    )

    assert lines[-1] == b"250 ok"
    assert not any(line.startswith(b"235") for line in lines)
    assert_asked_for_whole_names(passwords)


@pytest.mark.parametrize(
    ("login", "password"),
    [(b"", b"secret"), (b"joe", b""), (b"joe\0", b"secret"), (b"joe", b"secret\0"), (b"\0", b"\0")],
)
def test_login_with_nuls_and_empty_parts_is_refused(
    host: Host, passwords: Passwords, login: bytes, password: bytes
) -> None:
    responses = [base64.b64encode(part) + b"\r\n" for part in (login, password)]

    _, lines = host.hold(b"STARTTLS\r\n", b"AUTH LOGIN\r\n" + b"".join(responses) + b"NOOP\r\n")

    assert lines[-1] == b"250 ok"
    assert not any(line.startswith(b"235") for line in lines)
    assert passwords.asked == []
