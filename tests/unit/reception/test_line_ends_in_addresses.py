"""CR and LF in an address, written in any way: never in the envelope, a field or the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.smtp_host import MAIL, MESSAGE, RCPT, Host

if TYPE_CHECKING:
    from pathlib import Path

ADDRESSES = [
    b"<a\rb@example.org>", b"<a\nb@example.org>", b"<a\r\nb@example.org>",
    b'<"a\rb"@example.org>', b'<"a\\\rb"@example.org>', b"<a@exam\rple.org>",
    b"<a\\\r\\\nb@example.org>", b"a\rb@example.org", b"<@x\r:a@example.org>",
    b"<a@example.org\r>", b"<a@example.org\r\nDATA>",
]  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize("address", ADDRESSES)
def test_none_is_queued(host: Host, address: bytes) -> None:
    host.hold(MAIL + b"RCPT TO:" + address + b"\r\n" + RCPT + MESSAGE)
    host.hold(b"MAIL FROM:" + address + b"\r\n" + MAIL + RCPT + MESSAGE)

    paths = [
        path
        for queued in host.queue.queued
        for path in (queued.reverse_path, *queued.forward_paths)
    ]
    assert paths
    assert not any(byte in path for path in paths for byte in b"\r\n\0")


@pytest.mark.parametrize("escape", [b"+0D+0A", b"%0d%0a", b"=0D=0A"])
def test_what_only_looks_so_stays_as_it_is(host: Host, escape: bytes) -> None:
    host.hold(MAIL + b"RCPT TO:<a" + escape + b"@example.org>\r\n" + MESSAGE)

    assert host.queue.queued[0].forward_paths == [b"a" + escape + b"@example.org"]
