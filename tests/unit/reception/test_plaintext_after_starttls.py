"""Command injection: what a man in the middle adds in the clear, behind STARTTLS.

If it were kept, it would be obeyed as if it had come under TLS, before the
first command of the client. CVE-2011-0411 and its kin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.smtp_host import ENVELOPE, MESSAGE, QUIT, AnyCertificate, Host, Passwords

if TYPE_CHECKING:
    from pathlib import Path

INJECTED = b"RSET\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<joe@example.org>\r\nDATA\r\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.offer(certificates=AnyCertificate(), verifier=Passwords())
    return host


@pytest.mark.parametrize("length", range(1, len(INJECTED) + 1))
def test_it_is_dropped(host: Host, length: int) -> None:
    _, lines = host.hold(b"STARTTLS\r\n" + INJECTED[:length], b"NOOP\r\n" + QUIT)

    assert lines == [b"220 ready for tls", b"250 ok", b"221 mail.example.org"]


def test_half_a_command_in_the_clear_does_not_begin_one_under_tls(host: Host) -> None:
    _, lines = host.hold(
        b"STARTTLS\r\nMAIL FROM:<evil@example.net> ", b"\r\nRCPT TO:<joe@example.org>\r\n"
    )

    assert lines[1:] == [b"502 unimplemented (#5.5.1)", b"503 MAIL first (#5.5.1)"]


def test_the_envelope_so_far_is_forgotten(host: Host) -> None:
    _, lines = host.hold(ENVELOPE + b"STARTTLS\r\n", MESSAGE)

    assert lines[3] == b"503 MAIL first (#5.5.1)"
    assert host.queue.queued == []


def test_the_name_of_the_client_is_forgotten(host: Host) -> None:
    host.hold(b"EHLO evil\r\nSTARTTLS\r\n", ENVELOPE + MESSAGE)

    assert b"HELO" not in host.queue.queued[0].message


def test_tls_begins_once(host: Host) -> None:
    _, lines = host.hold(b"STARTTLS\r\n", b"STARTTLS\r\n")

    assert lines == [b"220 ready for tls", b"502 unimplemented (#5.5.1)"]


def test_no_tls_begins_between_two_chunks(host: Host) -> None:
    _, lines = host.hold(ENVELOPE + b"BDAT 1\r\naSTARTTLS\r\n", b"BDAT 2 LAST\r\n\r\n")

    assert lines[3] == b"503 BDAT or RSET first (#5.5.1)"
    assert host.queue.queued[0].message.endswith(b"\na\n")
