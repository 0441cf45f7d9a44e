"""What a client calls itself reaches a header field: it must stay one field, of two lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.smtp_host import ENVELOPE, MESSAGE, Host

if TYPE_CHECKING:
    from pathlib import Path

FIELD = re.compile(
    rb"Received: from unknown \(HELO [A-Za-z0-9.@%+/=:\[\]?-]*\) \(unknown\)\n"
    rb"  by unknown with SMTP; [^\n]* -0000\nSubject: x\n\nhello\n"
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.binary(max_size=255).filter(lambda name: b"\n" not in name))
def test_any_bytes_give_one_field(host: Host, name: bytes) -> None:
    host.queue.queued.clear()

    host.hold(b"EHLO " + name + b"\r\n" + ENVELOPE + MESSAGE)

    (queued,) = host.queue.queued
    assert FIELD.fullmatch(queued.message), queued.message


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_gives_one_field_or_no_hello(host: Host, byte: int) -> None:
    host.hold(b"HELO a" + bytes([byte]) * 253 + b"b\r\n" + ENVELOPE + MESSAGE)

    (queued,) = host.queue.queued
    assert FIELD.fullmatch(queued.message) or byte == ord("\n")
