"""DSN (RFC 3461): what the sender wants goes into the queue, and nothing where he wants nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.smtp_host import ENVELOPE, MESSAGE, Host

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.queue.knows_additions = True
    return host


def test_what_is_wanted_is_kept_with_the_envelope(host: Host) -> None:
    host.hold(
        b"MAIL FROM:<sue@example.net> RET=HDRS ENVID=1\r\n"
        b"RCPT TO:<joe@example.org> NOTIFY=NEVER\r\n"
        b"RCPT TO:<ann@example.org> ORCPT=rfc822;x@example.org NOTIFY=SUCCESS,FAILURE\r\n"
        b"RCPT TO:<tom@example.org>\r\n" + MESSAGE
    )

    assert host.queue.queued[0].additions == [
        b"RET=HDRS ENVID=1 ",
        b"NOTIFY=NEVER TO=joe@example.org",
        b"NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@example.org TO=ann@example.org",
    ]


def test_nothing_is_kept_where_nothing_is_wanted(host: Host) -> None:
    host.hold(ENVELOPE + MESSAGE)

    assert host.queue.queued[0].additions == []


def test_nothing_is_left_for_the_next_message(host: Host) -> None:
    host.hold(
        b"MAIL FROM:<a@b> RET=HDRS\r\nRCPT TO:<joe@example.org>\r\n" + MESSAGE + ENVELOPE + MESSAGE
    )

    assert host.queue.queued[1].additions == []


@pytest.mark.parametrize(
    "command",
    [b"MAIL FROM:<a@b> RET=ALL", b"MAIL FROM:<a@b> ENVID==", b"RCPT TO:<joe@example.org> NOTIFY=X",
     b"RCPT TO:<joe@example.org> ORCPT=joe"],
)  # fmt: skip
def test_a_wish_that_nobody_understands_is_refused(host: Host, command: bytes) -> None:
    _, lines = host.hold(b"MAIL FROM:<sue@example.net>\r\n" + command + b"\r\n")

    assert lines[-1] == b"555 syntax error (#5.5.4)"


def test_it_is_offered(host: Host) -> None:
    _, lines = host.hold(b"EHLO x\r\n")

    assert b"250 DSN" in lines


def test_it_is_not_offered_where_the_queue_does_not_know_it(host: Host) -> None:
    host.queue.knows_additions = False

    _, lines = host.hold(b"EHLO x\r\nMAIL FROM:<a@b> RET=ALL ENVID==\r\n")

    assert not any(b"DSN" in line for line in lines)
    assert lines[-1] == b"250 ok"
