from __future__ import annotations

import asyncio

import pytest
from tests.support.sessions import MemoryStream

from pyqmail.reception.refusal import refuse

LINE = b"451 listed"
R = b"451 listed\r\n"
OK = b"250 rblsmtpd.local\r\n"
HELLO = b"220 rblsmtpd.local\r\n"
BYE = b"221 rblsmtpd.local\r\n"


def said(*pieces: bytes, timeout: float = 60) -> bytes:
    stream = MemoryStream(pieces)
    asyncio.run(refuse(stream, LINE, timeout))
    return stream.transcript()


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"HELO x\r\n", OK),
        (b"ehlo\r\n", OK),
        (b"MAIL FROM:<a>\n", OK),
        (b"RSET\r\n", OK),
        (b"NOOP x\r\n", OK),
        (b"RCPT TO:<b>\r\n", R),
        (b"DATA\r\n", R),
        (b"MAILBOX\r\n", R),
        (b"\r\n", R),
        (b" NOOP\r\n", R),
        (b"NOOP\r\r\n", R),
        (b"x" * 100_000 + b"\r\n", R),
    ],
)
def test_only_commands_without_consequences_are_accepted(command: bytes, reply: bytes) -> None:
    assert said(command) == HELLO + reply


def test_quit_ends_it() -> None:
    assert said(b"QUIT\r\nNOOP\r\n", b"NOOP\r\n") == HELLO + BYE


def test_where_it_is_cut_changes_nothing() -> None:
    session = b"HELO x\r\nMAIL FROM:<a>\nRCPT TO:<b>\r\nnoop\r\nQUIT\r\n"

    assert said(*(bytes([byte]) for byte in session)) == said(session)


def test_without_time_the_refusal_is_the_greeting() -> None:
    assert said(b"HELO x\r\n", timeout=0) == R


def test_it_ends_when_the_time_is_over() -> None:
    stream = MemoryStream([], patient=True)

    asyncio.run(refuse(stream, LINE, 0.01))

    assert stream.transcript() == HELLO
