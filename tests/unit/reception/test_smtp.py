from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.support import simulated_time
from tests.support.sessions import MemoryMessage, MemoryQueue, MemoryStream
from tests.support.smtp_host import ENVELOPE, MAIL, MESSAGE, QUIT, RCPT, Host

from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.protocol.smtp.reply import OK, SYNTAX_ERROR, Reply
from pyqmail.reception import replies, smtp, transaction
from pyqmail.reception.smtp import Services, client_of, serve

if TYPE_CHECKING:
    from pathlib import Path

    from pyqmail.errors import Failure


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_message_is_queued_with_its_field_and_envelope(host: Host) -> None:
    status, lines = host.hold(b"HELO x\r\n" + ENVELOPE + MESSAGE, QUIT, TCPREMOTEIP=b"192.0.2.7")

    (queued,) = host.queue.queued
    assert status == smtp.SUCCESS
    assert lines[-2].startswith(b"250 ok ")
    assert lines[-2].endswith(b" qp 4711")
    assert lines[-1] == b"221 mail.example.org"
    assert queued.reverse_path == b"sue@example.net"
    assert queued.forward_paths == [b"joe@example.org"]
    assert queued.message.startswith(
        b"Received: from unknown (HELO x) (192.0.2.7)\n  by unknown with SMTP; "
    )
    assert queued.message.endswith(b"\nSubject: x\n\nhello\n")


def test_a_client_that_leaves_without_quit_gets_status_1(host: Host) -> None:
    assert host.hold() == (smtp.FAILURE, [])


def test_a_message_that_breaks_off_is_forgotten(host: Host) -> None:
    status, _ = host.hold(ENVELOPE + MESSAGE[:-1])

    assert status == smtp.FAILURE
    assert host.queue.queued == []
    assert host.queue.abandoned == 1


def test_a_bare_line_feed_ends_the_session(host: Host) -> None:
    status, lines = host.hold(ENVELOPE + b"DATA\r\na\n.\r\n" + ENVELOPE + MESSAGE, QUIT)

    assert status == smtp.FAILURE
    assert lines[-1] == b"451 See https://cr.yp.to/docs/smtplf.html."
    assert host.queue.queued == []
    assert host.queue.abandoned == 1


def test_nothing_of_one_transaction_is_left_in_the_next(host: Host) -> None:
    host.hold(ENVELOPE + MESSAGE + MAIL + b"RCPT TO:<ann@example.org>\r\n" + MESSAGE)

    assert [queued.forward_paths for queued in host.queue.queued] == [
        [b"joe@example.org"],
        [b"ann@example.org"],
    ]


def test_ehlo_lists_what_we_offer(host: Host) -> None:
    host.set("databytes", "1000\n")

    _, lines = host.hold(b"EHLO x\r\n")

    assert lines == [
        b"250-mail.example.org",
        b"250-PIPELINING",
        b"250-8BITMIME",
        b"250-SIZE 1000",
        b"250-SMTPUTF8",
        b"250 CHUNKING",
    ]


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (PermanentFailure(b"we do not want this (#5.7.1)"), b"554 we do not want this (#5.7.1)"),
        (TransientFailure(b"qq timeout (#4.3.0)"), b"451 qq timeout (#4.3.0)"),
    ],
)
def test_what_the_queue_says_is_said(host: Host, failure: Failure, line: bytes) -> None:
    host.queue.failure = failure

    _, lines = host.hold(ENVELOPE + MESSAGE + QUIT)

    assert lines[-2:] == [line, b"221 mail.example.org"]


def test_without_a_queue_no_message_is_asked_for(host: Host) -> None:
    host.queue.broken = True

    _, lines = host.hold(ENVELOPE + b"DATA\r\n" + RCPT)

    assert lines[-2:] == [b"451 qqt failure (#4.3.0)", b"503 MAIL first (#5.5.1)"]


@pytest.mark.parametrize(
    ("recipient", "line"),
    [
        (b"<ann@example.net>", replies.NO_RELAYING),
        (b"<ann@example.org>", OK),
        (b"<ann>", OK),
        (b"<bad@example.org>", replies.BAD_RECIPIENT),
        (b"<" + b"a" * 900 + b"@example.org>", SYNTAX_ERROR),
    ],
)
def test_recipients_are_judged(host: Host, recipient: bytes, line: Reply) -> None:
    host.set("badrcptto", "bad@example.org\n")

    _, lines = host.hold(MAIL + b"RCPT TO:" + recipient + b"\r\n")

    assert lines[-1] + b"\r\n" == line.to_wire()


def test_a_bad_sender_is_told_so_at_each_recipient(host: Host) -> None:
    host.set("badmailfrom", "@example.net\n")

    _, lines = host.hold(MAIL + b"RCPT TO:<x@far.example>\r\n" + RCPT, RELAYCLIENT=b"")

    assert lines == [b"250 ok", *[b"553 " + replies.BAD_SENDER.lines[0]] * 2]


def test_a_relay_client_sends_anywhere_and_its_suffix_is_added(host: Host) -> None:
    host.hold(MAIL + b"RCPT TO:<far@example.net>\r\n" + MESSAGE, RELAYCLIENT=b"@gate")

    assert host.queue.queued[0].forward_paths == [b"far@example.net@gate"]


def test_an_address_at_our_own_number_is_ours(host: Host) -> None:
    host.set("localiphost", "example.org\n")

    host.hold(MAIL + b"RCPT TO:<joe@[127.0.0.1]>\r\n" + MESSAGE)

    assert host.queue.queued[0].forward_paths == [b"joe@example.org"]


def test_if_our_own_numbers_are_unknown_the_session_ends(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> frozenset[bytes]:
        raise OSError

    monkeypatch.setattr(transaction, "local_addresses", fail)

    status, lines = host.hold(b"MAIL FROM:<a@[127.0.0.1]>\r\n")

    assert (status, lines) == (
        smtp.FAILURE,
        [b"421 unable to figure out my IP addresses (#4.3.0)"],
    )


def test_an_unknown_mailbox_is_refused_if_somebody_knows(host: Host) -> None:
    async def only_ann(address: bytes) -> bool:
        return address == b"ann@example.org"

    stream = MemoryStream([MAIL + RCPT + b"RCPT TO:<ann@example.org>\r\n"])

    asyncio.run(
        serve(
            host.home,
            {},
            stream,
            host.queue,  # type: ignore[arg-type]
            Services(recipient_exists=only_ann),
        )
    )

    assert stream.transcript().split(b"\r\n")[2:4] == [
        b"550 sorry, no mailbox here by that name. (#5.1.1)",
        b"250 ok",
    ]


def test_recipients_have_an_end(host: Host) -> None:
    host.set("maxrcpt", "2\n")

    _, lines = host.hold(MAIL + RCPT * 3)

    assert lines == [b"250 ok"] * 3 + [b"452 too many recipients (#4.5.3)"]


@pytest.mark.parametrize(("size", "accepted"), [(20, True), (21, False)])
def test_exactly_the_limit_is_accepted(host: Host, size: int, accepted: bool) -> None:  # noqa: FBT001
    host.set("databytes", "20\n")

    _, lines = host.hold(ENVELOPE + b"DATA\r\n" + b"x" * (size - 1) + b"\r\n.\r\n")

    assert lines[-1].startswith(b"250 ok " if accepted else b"552 sorry, that message size")
    assert len(host.queue.queued) == accepted
    assert [len(message.rpartition(b"\n")[2]) for message in host.queue.withdrawn] == [20] * (
        not accepted
    )


def test_a_size_that_is_announced_is_judged_at_once(host: Host) -> None:
    host.set("databytes", "20\n")

    _, lines = host.hold(b"MAIL FROM:<a@b> SIZE=20\r\nMAIL FROM:<a@b> SIZE=21\r\n")

    assert lines == [b"250 ok", b"552 " + replies.TOO_LARGE.lines[0]]


@pytest.mark.parametrize(("hops", "accepted"), [(99, True), (100, False)])
def test_a_message_with_a_hundred_hops_is_looping(host: Host, hops: int, accepted: bool) -> None:  # noqa: FBT001
    host.set("databytes", "10\n" if not accepted else "100000\n")
    header = b"Received: x\r\n" * hops

    _, lines = host.hold(ENVELOPE + b"DATA\r\n" + header + b"\r\nReceived: body\r\n.\r\n")

    assert lines[-1].startswith(b"250 ok " if accepted else b"554 too many hops, ")


def test_controls_that_cannot_be_read_end_the_session(host: Host) -> None:
    host.set("timeoutsmtpd", "soon\n")
    stream = MemoryStream([QUIT])

    status = asyncio.run(serve(host.home, {}, stream, host.queue, Services(log=host.log.append)))  # type: ignore[arg-type]

    assert status == smtp.FAILURE
    assert stream.transcript() == b"421 unable to read controls (#4.3.0)\r\n"
    assert host.log == [b"control/timeoutsmtpd line 1: not a number: soon"]


def test_a_client_that_says_nothing_is_told_that_its_time_is_over(host: Host) -> None:
    host.set("timeoutsmtpd", "300\n")
    stream = MemoryStream([MAIL, b"RC"], patient=True)

    status, seconds = simulated_time.run(serve(host.home, {}, stream, host.queue))  # type: ignore[arg-type]

    assert (status, seconds) == (smtp.FAILURE, 300)
    assert stream.transcript().endswith(b"250 ok\r\n451 timeout (#4.4.2)\r\n")


def test_a_command_has_a_limit_however_often_a_byte_comes(host: Host) -> None:
    stream = Trickle([b"x"] * 10_000)

    status, seconds = simulated_time.run(serve(host.home, {}, stream, host.queue))  # type: ignore[arg-type]

    assert (status, seconds) == (smtp.FAILURE, 1200)
    assert stream.transcript().endswith(b"451 timeout (#4.4.2)\r\n")


def test_a_message_has_a_day(host: Host) -> None:
    stream = Trickle([ENVELOPE + b"DATA\r\n", *[b"x"] * 10_000])

    status, seconds = simulated_time.run(serve(host.home, {}, stream, host.queue))  # type: ignore[arg-type]

    assert status == smtp.FAILURE
    assert seconds == pytest.approx(86400, abs=60)
    assert host.queue.abandoned == 1


def test_whoever_says_noop_now_and_then_may_stay(host: Host) -> None:
    stream = Trickle([b"NOOP\r\n"] * 1000 + [QUIT])

    status, seconds = simulated_time.run(serve(host.home, {}, stream, host.queue))  # type: ignore[arg-type]

    assert status == smtp.SUCCESS
    assert seconds > 50_000


def test_a_client_that_never_reads_is_left(host: Host) -> None:
    class Full(MemoryStream):
        async def write(self, _data: bytes) -> None:
            await asyncio.Event().wait()

    status, seconds = simulated_time.run(serve(host.home, {}, Full([]), host.queue))  # type: ignore[arg-type]

    assert (status, seconds) == (smtp.FAILURE, 1200)


class Trickle(MemoryStream):
    """A client that sends a piece a minute."""

    async def read(self) -> bytes:
        """Give the next piece, a minute later."""
        await asyncio.sleep(60)
        return await super().read()


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError()])
def test_a_client_that_does_not_listen_is_left(host: Host, error: OSError) -> None:
    class Deaf(MemoryStream):
        async def write(self, _data: bytes) -> None:
            raise error

    status = asyncio.run(serve(host.home, {}, Deaf([QUIT]), host.queue))  # type: ignore[arg-type]

    assert status == smtp.FAILURE


def test_without_memory_the_client_is_asked_to_come_again(host: Host) -> None:
    class Poor(MemoryQueue):
        async def open(self, _environ: object) -> MemoryMessage:
            raise MemoryError

    host.queue = Poor()

    status, lines = host.hold(ENVELOPE + b"DATA\r\n")

    assert (status, lines[-1]) == (smtp.FAILURE, b"421 out of memory (#4.3.0)")


def test_replies_to_pipelined_commands_go_out_together(host: Host) -> None:
    stream = MemoryStream([b"EHLO x\r\n" + ENVELOPE + b"DATA\r\n", b".\r\n" + QUIT])

    asyncio.run(serve(host.home, {}, stream, host.queue))  # type: ignore[arg-type]

    greeting, replies = stream.heard
    assert greeting == b"220 mail.example.org ESMTP\r\n"
    assert replies.endswith(b"250 ok\r\n250 ok\r\n354 go ahead\r\n")


def test_a_large_message_is_never_held_as_a_whole(host: Host) -> None:
    piece = b"x" * 1000 + b"\r\n"
    pieces = [piece * 60] * 50

    _, lines = host.hold(ENVELOPE + b"DATA\r\n", *pieces, b".\r\n")

    assert lines[-1].startswith(b"250 ok ")
    assert host.queue.largest_write <= len(piece) * 60


def test_the_local_name_is_the_host_else_its_number() -> None:
    assert client_of({b"TCPLOCALHOST": b"h", b"TCPLOCALIP": b"i"}).local == b"h"
    assert client_of({b"TCPLOCALIP": b"i"}).local == b"i"
    assert client_of({}).local == b"unknown"
