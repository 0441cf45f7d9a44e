"""Every phase of a transaction, and every way it can end there."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.delivery import smtp_transaction
from pyqmail.delivery.composition import Envelope
from pyqmail.delivery.conversation import Conversation, Patience
from pyqmail.delivery.outcome import Outcome
from pyqmail.delivery.outgoing import READ_SIZE, OutgoingMessage
from pyqmail.delivery.smtp_transaction import Transaction
from pyqmail.message.wishes import RecipientWishes, Wishes
from pyqmail.protocol.smtp.client import ClientSession
from pyqmail.protocol.spawn import PASSED_ON

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
    *,
    first: bool = True,
) -> tuple[Outcome, bytes]:
    descriptor = os.memfd_create("message")
    os.write(descriptor, message)
    os.lseek(descriptor, 0, os.SEEK_SET)
    stream = ScriptedStream(replies)
    conversation = Conversation(stream, greeted_session(hello), Patience(patience))
    transaction = Transaction(conversation, HOST, first=first)
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


@pytest.mark.parametrize(
    ("code", "first", "elsewhere"),
    [(b"452", False, True), (b"452", True, False), (b"550", False, False)],
)
def test_who_refuses_the_sender_of_a_later_message_for_now_is_asked_in_a_new_session(
    code: bytes, *, first: bool, elsewhere: bool
) -> None:
    outcome, _ = run([code + b" too many messages\r\n"], first=first)

    assert outcome.elsewhere == elsewhere
    assert b"sender was rejected" in outcome.message


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
    assert sent.endswith(b"DATA\r\n")


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


# What a host cannot be told.

INTERNATIONAL = "ä@y.example".encode()
UTF8_HEADER = "Subject: ä\n\nx\n".encode()
UTF8_BODY = "Subject: x\n\nä\n".encode()
FLAGGED = Wishes(internationalized=True)


def offering(*extensions: bytes) -> bytes:
    return b"".join(b"250-%b\r\n" % each for each in (b"far", *extensions)) + b"250 HELP\r\n"


def test_a_recipient_beyond_ascii_is_refused_where_nobody_knows_such() -> None:
    envelope = Envelope(b"s@x.example", [b"a@y.example", INTERNATIONAL, b"b@y.example"])
    replies = [WELL["sender"], *[WELL["recipient"]] * 2, WELL["data"], WELL["message"]]

    outcome, sent = run(replies, envelope)

    words = (
        b"h192.0.2.1 does not take internationalized mail (SMTPUTF8), "
        b"and this address is such. (#5.6.7)\n"
    )
    assert outcome.recipients == [b"r", words, b"r"]
    assert outcome.message[:1] == b"K"
    assert outcome.of_one(1) == words + b"\0DGiving up on 192.0.2.1.\n\0"
    assert sent.count(b"RCPT") == 2


def test_where_no_recipient_can_be_told_nothing_is_said() -> None:
    outcome, sent = run([], Envelope(b"", [INTERNATIONAL]))

    assert outcome.message == b"DGiving up on 192.0.2.1.\n"
    assert [each[:1] for each in outcome.recipients] == [b"h"]
    assert sent == b""


def test_a_sender_beyond_ascii_is_refused_where_nobody_knows_such() -> None:
    outcome, sent = run([], Envelope(INTERNATIONAL, [b"a@y.example"]))

    assert outcome.message == (
        b"DConnected to 192.0.2.1 but it does not take internationalized mail (SMTPUTF8), "
        b"and the sender's address is such. (#5.6.7)\n"
    )
    assert sent == b""


def test_a_domain_beyond_ascii_is_spelled_as_the_dns_does_where_nobody_knows_such() -> None:
    envelope = Envelope("s@ä.example".encode(), ["a@ö.example".encode()])

    _, sent = run(list(WELL.values()), envelope)

    assert sent.startswith(b"MAIL FROM:<s@xn--4ca.example>\r\nRCPT TO:<a@xn--nda.example>\r\n")


def test_what_is_beyond_ascii_but_not_utf_8_goes_out_as_it_is() -> None:
    outcome, sent = run(list(WELL.values()), Envelope(b"\xe4@x.example", [b"\xe4@y.example"]))

    assert outcome.message[:1] == b"K"
    assert sent.startswith(b'MAIL FROM:<"\xe4"@x.example>\r\nRCPT TO:<"\xe4"@y.example>\r\n')


@pytest.mark.parametrize(
    ("wishes", "message", "extensions", "said"),
    [
        (FLAGGED, UTF8_HEADER, [b"SMTPUTF8"], b" SMTPUTF8"),
        (FLAGGED, UTF8_HEADER, [b"SMTPUTF8", b"8BITMIME"], b" BODY=8BITMIME SMTPUTF8"),
        (FLAGGED, UTF8_BODY, [b"SMTPUTF8"], b""),
        (FLAGGED, UTF8_BODY, [], b""),
        (Wishes(), UTF8_HEADER, [b"SMTPUTF8"], b""),
        (Wishes(), UTF8_HEADER, [], b""),
    ],
)
def test_only_what_needs_smtputf8_says_so(
    wishes: Wishes, message: bytes, extensions: list[bytes], said: bytes
) -> None:
    envelope = Envelope(b"s@x.example", [b"a@y.example"], wishes)

    outcome, sent = run(list(WELL.values()), envelope, message, hello=offering(*extensions))

    assert outcome.message[:1] == b"K"
    assert sent.startswith(b"MAIL FROM:<s@x.example>" + said + b"\r\n")


def test_a_header_that_needs_smtputf8_is_refused_where_nobody_knows_such() -> None:
    outcome, sent = run([], Envelope(b"", [b"a@y.example"], FLAGGED), UTF8_HEADER)

    assert outcome.message == (
        b"DConnected to 192.0.2.1 but it does not take internationalized mail (SMTPUTF8), "
        b"and the header of this message is such. (#5.6.7)\n"
    )
    assert sent == b""


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        (b"", False),
        (b"\n\xe4\n", False),
        (b"\r\n\xe4\n", False),
        (b"a: \xe4\n\nx\n", True),
        (b"a: b\r\n\r\n\xe4\n", False),
        (b"a: b\n\xe4: c\n", True),
        (b"a: " + b"b" * (READ_SIZE - 4) + b"\n\n\xe4\n", False),
        (b"a: " + b"b" * (READ_SIZE - 5) + b"\r\n\r\n\xe4\n", False),
        (b"a: " + b"b" * (READ_SIZE - 4) + b"\r\n\r\n\xe4\n", False),
        (b"a: " + b"b" * READ_SIZE + b"\n\xe4: c\n\n", True),
    ],
)
def test_where_a_header_section_ends(header: bytes, *, answer: bool) -> None:
    descriptor = os.memfd_create("message")
    os.pwrite(descriptor, header, 0)
    facts = OutgoingMessage(descriptor).facts()
    os.close(descriptor)

    assert facts is not None
    assert facts.has_eight_bits_in_header is answer


@pytest.mark.parametrize("size", [b"5", b"1"])
def test_a_message_that_is_too_large_is_not_offered(size: bytes) -> None:
    outcome, sent = run([], message=b"1234\n", hello=offering(b"SIZE " + size))

    words = (
        b"DConnected to 192.0.2.1 but it takes %b bytes at most, and this message has 6. (#5.3.4)\n"
    )
    assert outcome.message == words % size
    assert sent == b""


@pytest.mark.parametrize("size", [b"SIZE 6", b"SIZE 0", b"SIZE", b"SIZE x", b"SIZE " + b"1" * 40])
def test_a_message_that_may_fit_is_offered(size: bytes) -> None:
    outcome, sent = run(list(WELL.values()), message=b"1234\n", hello=offering(size))

    assert outcome.message[:1] == b"K"
    assert b" SIZE=6\r\n" in sent


def test_a_host_without_8bitmime_gets_eight_bits_all_the_same() -> None:
    outcome, sent = run(list(WELL.values()), message=b"\xe4\n", hello=offering(b"SIZE"))

    assert outcome.message[:1] == b"K"
    assert sent.endswith(b"\xe4\r\n.\r\n")


# What the sender wishes.

WISHED = Envelope(
    b"s@x.example",
    [b"a@y.example", b"b@y.example"],
    Wishes(b"HDRS", b"number+20one"),
    [RecipientWishes(b"SUCCESS,DELAY", b"rfc822;A@y.example"), RecipientWishes(b"NEVER")],
)
REPLIES: list[bytes | None] = [
    WELL["sender"],
    *[WELL["recipient"]] * 2,
    WELL["data"],
    WELL["message"],
]


def test_wishes_are_passed_on_to_who_will_obey() -> None:
    outcome, sent = run(REPLIES, WISHED, hello=offering(b"DSN"))

    assert sent.startswith(
        b"MAIL FROM:<s@x.example> RET=HDRS ENVID=number+20one\r\n"
        b"RCPT TO:<a@y.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A@y.example\r\n"
        b"RCPT TO:<b@y.example> NOTIFY=NEVER\r\n"
    )
    accepted = b"K192.0.2.1 accepted message.\nRemote host said: 250 ok 77\n"
    assert outcome.of_one(0) == b"r\0" + accepted + PASSED_ON + b"\0"
    assert outcome.of_one(1) == b"r\0" + accepted + b"\0"


def test_who_will_not_obey_is_told_no_wishes() -> None:
    outcome, sent = run(REPLIES, WISHED, hello=offering(b"SIZE"))

    assert b"RET" not in sent
    assert b"NOTIFY" not in sent
    assert PASSED_ON not in outcome.of_one(0)


@pytest.mark.parametrize("failing", [3, 4])
def test_nothing_is_promised_of_a_message_that_is_refused(failing: int) -> None:
    replies = [*REPLIES[:failing], b"550 no\r\n"]

    outcome, _ = run(replies, WISHED, hello=offering(b"DSN"))

    assert outcome.of_one(0)[:3] == b"r\0D"
    assert PASSED_ON not in outcome.of_one(0)


def test_a_transaction_has_a_limit_however_patient_we_are_with_each_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(smtp_transaction, "LONGEST", 0.05)

    outcome, _ = run(script("data", b""), patience=1000)

    assert (outcome.message, outcome.elsewhere) == (DIED, True)
