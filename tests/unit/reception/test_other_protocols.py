"""Something that is not SMTP on the plain port: a TLS hello, or a browser that was sent here.

A web page can make its visitor's browser send a request whose body is a mail
transaction. It must find no end that takes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.smtp_host import ENVELOPE, MESSAGE, Host

if TYPE_CHECKING:
    from pathlib import Path

UNIMPLEMENTED = b"502 unimplemented (#5.5.1)"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + b"\r\n" + bytes(200)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize(
    "request_line",
    [b"GET / HTTP/1.1", b"POST /x HTTP/1.0", b"post / HTTP/1.1", b"CONNECT mail:25 HTTP/1.1",
     b"OPTIONS * HTTP/1.1", b"PUT / HTTP/1.1", b"HEAD / HTTP/1.1"],
)  # fmt: skip
def test_a_request_is_answered_once_and_its_body_never_read(
    host: Host, request_line: bytes
) -> None:
    header = request_line + b"\r\nHost: mail.example.org:25\r\nContent-Type: text/plain\r\n\r\n"

    status, lines = host.hold(header + ENVELOPE + MESSAGE)

    assert (status, lines) == (1, [UNIMPLEMENTED])
    assert host.queue.queued == []


@pytest.mark.parametrize("cut", [1, 2, 3, 11, 12, 13, 50])
def test_a_tls_hello_is_answered_at_once(host: Host, cut: int) -> None:
    status, lines = host.hold(TLS_HELLO[:cut], TLS_HELLO[cut:], ENVELOPE + MESSAGE)

    assert (status, lines) == (1, [UNIMPLEMENTED])


def test_a_message_may_be_about_anything(host: Host) -> None:
    _, lines = host.hold(ENVELOPE + b"DATA\r\nGET / HTTP/1.1\r\n\x16\x03\r\n.\r\n")

    assert lines[-1].startswith(b"250 ok ")
