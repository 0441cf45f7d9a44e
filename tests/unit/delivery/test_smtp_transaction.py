"""Every phase of a transaction, and every way it can end there."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.delivery.conversation import Conversation, Patience
from pyqmail.delivery.outcome import Outcome
from pyqmail.delivery.outgoing import OutgoingMessage
from pyqmail.delivery.smtp_transaction import Envelope, Transaction
from pyqmail.protocol.smtp.client import ClientSession

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

HOST = b"192.0.2.1"
DIED = b"ZConnected to 192.0.2.1 but connection died. (#4.4.2)\n"
ONE = Envelope(b"s@x.example", [b"a@y.example"])
TWO = Envelope(b"s@x.example", [b"a@y.example", b"b@y.example"])
HELLO = b"250 far\r\n"
PHASES = ("sender", "recipient", "data", "message")
WELL = {
    "sender": b"250 ok\r\n",
    "recipient": b"250 ok\r\n",
    "data": b"354 go\r\n",
    "message": b"250 ok 77\r\n",
}


class ScriptedStream:
    """Says one reply after the other; None: the connection ends; empty: nothing comes any more."""

    def __init__(self, replies: list[bytes | None]) -> None:
        self.sent = b""
        self._replies = iter(replies)

    async def read(self) -> bytes:
        reply = next(self._replies, None)
        if reply == b"":
            await asyncio.get_running_loop().create_future()
        return reply or b""

    async def write(self, data: bytes) -> None:
        self.sent += data

    async def start_tls(self, context: ssl.SSLContext, server: str | None = None) -> None:
        raise NotImplementedError(context, server)


def greeted_session(hello: bytes = HELLO) -> ClientSession:
    session = ClientSession(b"me.example")
    session.receive_data(b"220 far\r\n" + hello)
    while session.next_answer():
        session.data_to_send()
    return session


def run(
    replies: list[bytes | None],
    envelope: Envelope = ONE,
    message: bytes = b"hello\n",
    patience: float = 60,
    hello: bytes = HELLO,
) -> tuple[Outcome, bytes]:
    descriptor = os.memfd_create("message")
    os.write(descriptor, message)
    os.lseek(descriptor, 0, os.SEEK_SET)
    stream = ScriptedStream(replies)
    conversation = Conversation(stream, greeted_session(hello), Patience(patience))
    transaction = Transaction(conversation, HOST)
    try:
        outcome = asyncio.run(transaction.run(envelope, OutgoingMessage(descriptor)))
    finally:
        os.close(descriptor)
    return outcome, stream.sent


def script(phase: str, reply: bytes | None) -> list[bytes | None]:
    """Return replies that are well up to a phase, and this one there."""
    return [*(WELL[each] for each in PHASES[: PHASES.index(phase)]), reply]


def test_a_message_is_accepted() -> None:
    outcome, sent = run(list(WELL.values()))

    report = b"K192.0.2.1 accepted message.\nRemote host said: 250 ok 77\n"
    assert outcome == Outcome([b"r"], report)
    assert sent == (b"MAIL FROM:<s@x.example>\r\nRCPT TO:<a@y.example>\r\nDATA\r\nhello\r\n.\r\n")


ELSEWHERE, HERE = True, False
SAID = b".\nRemote host said: %b no\n"


@pytest.mark.parametrize(
    ("phase", "code", "report", "elsewhere"),
    [
        ("sender", b"421", b"ZConnected to 192.0.2.1 but sender was rejected" + SAID, ELSEWHERE),
        ("sender", b"451", b"ZConnected to 192.0.2.1 but sender was rejected" + SAID, HERE),
        ("sender", b"550", b"DConnected to 192.0.2.1 but sender was rejected" + SAID, HERE),
        ("data", b"250", b"Z192.0.2.1 failed on DATA command" + SAID, HERE),
        ("data", b"451", b"Z192.0.2.1 failed on DATA command" + SAID, HERE),
        ("data", b"554", b"D192.0.2.1 failed on DATA command" + SAID, HERE),
        ("message", b"100", b"Z192.0.2.1 failed after I sent the message" + SAID, HERE),
        ("message", b"451", b"Z192.0.2.1 failed after I sent the message" + SAID, HERE),
        ("message", b"554", b"D192.0.2.1 failed after I sent the message" + SAID, HERE),
    ],
)
def test_what_a_refusal_leads_to(
    phase: str, code: bytes, report: bytes, *, elsewhere: bool
) -> None:
    outcome, _ = run(script(phase, code + b" no\r\n"))

    assert (outcome.message, outcome.elsewhere) == (report % code, elsewhere)
    assert outcome.recipients == ([b"r"] if phase in ("data", "message") else [])


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("accident", [None, b"\r\n", b"25", b""])
def test_what_an_accident_leads_to(phase: str, accident: bytes | None) -> None:
    outcome, _ = run(script(phase, accident), patience=0.01)

    after_the_end = phase == "message"
    duplicate = b"died. Possible duplicate! (" if after_the_end else b"died. ("
    assert outcome.message == DIED.replace(b"died. (", duplicate)
    assert outcome.elsewhere is not after_the_end


@pytest.mark.parametrize(
    ("codes", "reports", "report"),
    [
        ((b"250", b"550"), (b"r", b"h"), b"K"),
        ((b"451", b"250"), (b"s", b"r"), b"K"),
        ((b"550", b"451"), (b"h", b"s"), b"D"),
        ((b"abc", b"100"), (b"h", b"s"), b"D"),
        ((b"421", b"550"), (b"s", b"h"), b"D"),
    ],
)
def test_each_recipient_has_a_report(
    codes: tuple[bytes, bytes], reports: tuple[bytes, bytes], report: bytes
) -> None:
    replies = [WELL["sender"], *(code + b" x\r\n" for code in codes)]

    outcome, sent = run([*replies, WELL["data"], WELL["message"]], TWO)

    assert tuple(each[:1] for each in outcome.recipients) == reports
    assert outcome.message[:1] == report
    if report == b"D":
        assert outcome.message == b"DGiving up on 192.0.2.1.\n"
        assert b"DATA" not in sent


def test_a_report_on_a_recipient_quotes_the_host() -> None:
    outcome, _ = run(script("recipient", b"550-no\r\n550 s\0ch\r\n"))

    words = b"h192.0.2.1 does not like recipient.\nRemote host said: 550-no\n550 s?ch\n"
    assert outcome.recipients == [words]


def test_a_message_without_its_last_line_end_is_not_ended() -> None:
    outcome, sent = run(list(WELL.values()), message=b"a\n.")

    report = b"DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n"
    assert outcome == Outcome([b"r"], report)
    assert sent.endswith(b"DATA\r\na\r\n..")


def test_a_message_that_cannot_be_read_waits(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)  # a directory
    stream = ScriptedStream(list(WELL.values()))
    transaction = Transaction(Conversation(stream, greeted_session(), Patience()), HOST)

    outcome = asyncio.run(transaction.run(ONE, OutgoingMessage(descriptor)))

    os.close(descriptor)
    assert outcome == Outcome([b"r"], b"ZUnable to read message. (#4.3.0)\n")


@pytest.mark.parametrize(
    ("extensions", "message", "parameters"),
    [
        (b"SIZE 1000", b"a\nb\r\n", b" SIZE=6"),
        (b"8BITMIME", b"a\n", b""),
        (b"8BITMIME", b"\xe4\n", b" BODY=8BITMIME"),
        (b"size\r\n250-8bitmime", b"\xe4\n", b" SIZE=3 BODY=8BITMIME"),
        (b"DSN", b"\xe4\n", b""),
    ],
)
def test_what_a_host_offers_is_used(extensions: bytes, message: bytes, parameters: bytes) -> None:
    hello = b"250-far\r\n250-" + extensions + b"\r\n250 HELP\r\n"

    _, sent = run(list(WELL.values()), message=message, hello=hello)

    assert b"MAIL FROM:<s@x.example>" + parameters + b"\r\n" in sent


def test_an_address_beyond_ascii_asks_for_smtputf8() -> None:
    hello = b"250-far\r\n250 SMTPUTF8\r\n"

    _, sent = run(list(WELL.values()), Envelope(b"", [b"\xc3\xa4@y"]), hello=hello)

    assert b"MAIL FROM:<> SMTPUTF8\r\n" in sent


def test_with_pipelining_a_refused_recipient_gets_no_message() -> None:
    hello = b"250-far\r\n250 PIPELINING\r\n"
    replies: list[bytes | None] = [b"250 ok\r\n550 no\r\n354 go\r\n", b"554 nobody\r\n"]

    outcome, sent = run(replies, hello=hello)

    assert outcome.message == b"DGiving up on 192.0.2.1.\n"
    assert b"hello" not in sent
