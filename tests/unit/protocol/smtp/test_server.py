from __future__ import annotations

import pytest
from tests.support.smtp import Server, converse

from pyqmail.protocol.smtp.events import (
    Data,
    Hello,
    Mail,
    MessageBroken,
    MessageData,
    MessageEnd,
    Quit,
    Recipient,
    Reset,
)
from pyqmail.protocol.smtp.reply import OK, reply
from pyqmail.protocol.smtp.server import MAX_COMMAND_LINE, ServerSession
from pyqmail.protocol.smtp.states import State

MAIL = b"MAIL FROM:<sue@example.net>\r\n"
RCPT = b"RCPT TO:<joe@example.org>\r\n"
MESSAGE = b"Subject: x\r\n\r\nhello\r\n.\r\n"


def test_a_whole_session() -> None:
    server = Server()

    server.feed(b"EHLO client\r\n" + MAIL + RCPT + b"DATA\r\n" + MESSAGE + b"RSET\r\nQUIT\r\n")

    assert server.seen == [
        Hello(b"client", extended=True),
        Mail(b"sue@example.net"),
        Recipient(b"joe@example.org"),
        Data(),
        MessageData(b"Subject: x\n\nhello\n"),
        MessageEnd(),
        Reset(),
        Quit(),
    ]
    assert server.outcome.state is State.CLOSED


def test_a_refused_recipient_leaves_the_session_where_it_was() -> None:
    session = ServerSession()
    session.receive_data(MAIL + b"RCPT TO:<nobody@example.org>\r\n")
    assert session.next_event() == Mail(b"sue@example.net")
    session.answer(OK)
    assert session.next_event() == Recipient(b"nobody@example.org")

    session.answer(reply(550, b"no such mailbox (#5.1.1)"))

    assert session.state is State.SENDER
    assert session.data_to_send() == b"250 ok\r\n550 no such mailbox (#5.1.1)\r\n"


@pytest.mark.parametrize(
    ("wire", "replies"),
    [
        (RCPT, b"503 MAIL first (#5.5.1)\r\n"),
        (b"RCPT TO:<a\rb>\r\n", b"503 MAIL first (#5.5.1)\r\n"),
        (b"DATA\r\n", b"503 MAIL first (#5.5.1)\r\n"),
        (MAIL + b"DATA\r\n", b"250 ok\r\n503 RCPT first (#5.5.1)\r\n"),
        (MAIL + RCPT + MAIL + b"DATA\r\n", b"250 ok\r\n" * 3 + b"503 RCPT first (#5.5.1)\r\n"),
        (MAIL + b"HELO x\r\n" + RCPT, b"250 ok\r\n" * 2 + b"503 MAIL first (#5.5.1)\r\n"),
        (MAIL + b"RSET\r\n" + RCPT, b"250 ok\r\n250 flushed\r\n503 MAIL first (#5.5.1)\r\n"),
        (b"VRFY x\r\n", b"252 send some mail, i'll try my best\r\n"),
        (b"noop x\r\n", b"250 ok\r\n"),
        (b"EXPN x\r\n", b"502 unimplemented (#5.5.1)\r\n"),
        (b"\r\n", b"502 unimplemented (#5.5.1)\r\n"),
        (b"NOOP\r\r\n", b"502 unimplemented (#5.5.1)\r\n"),
    ],
)
def test_the_session_answers_what_it_does_not_let_through(wire: bytes, replies: bytes) -> None:
    assert converse([wire]).replies == replies


def test_help_is_given() -> None:
    assert converse([b"HELP me\r\n"]).replies.startswith(b"214 ")


def test_a_bare_line_feed_does_not_end_a_command() -> None:
    outcome = converse([MAIL + b"NOOP\nRCPT TO:<joe@example.org>\r\nDATA\r\n"])

    assert outcome.replies.split(b"\r\n")[1:] == [
        b"502 unimplemented (#5.5.1)",
        b"503 RCPT first (#5.5.1)",
        b"",
    ]


def test_a_refused_data_ends_the_transaction() -> None:
    session = ServerSession()
    session.receive_data(MAIL + RCPT + b"DATA\r\n" + RCPT)
    for answer in (OK, OK, reply(451, b"qqt failure (#4.3.0)")):
        session.next_event()
        session.answer(answer)

    assert session.next_event() is None
    assert session.state is State.READY
    assert session.data_to_send().endswith(b"503 MAIL first (#5.5.1)\r\n")


def test_a_refused_message_ends_the_transaction() -> None:
    session = ServerSession()
    session.receive_data(MAIL + RCPT + b"DATA\r\n.\r\n")
    for answer in (OK, OK, reply(354, b"go ahead")):
        session.next_event()
        session.answer(answer)
    assert session.next_event() == MessageEnd()

    session.answer(reply(554, b"no"))

    assert session.state is State.READY


def test_after_a_bare_line_feed_in_the_message_nothing_is_read() -> None:
    server = Server()

    server.feed(MAIL + RCPT + b"DATA\r\na\n.\r\n" + MAIL + RCPT + b"DATA\r\n" + MESSAGE)
    server.feed(b"QUIT\r\n")

    assert server.seen[-1] == MessageBroken()
    assert server.outcome.messages == []
    assert server.outcome.state is State.CLOSED
    assert server.outcome.replies.endswith(b"451 See https://cr.yp.to/docs/smtplf.html.\r\n")


def test_after_quit_nothing_is_read() -> None:
    server = Server()

    server.feed(b"QUIT\r\nNOOP\r\n")
    server.feed(b"NOOP\r\n")

    assert server.outcome.replies == b"250 ok\r\n"


def test_a_line_of_the_greatest_length_is_a_command_and_one_byte_more_is_not() -> None:
    longest = b"NOOP " + b"x" * (MAX_COMMAND_LINE - 5)

    outcome = converse([longest + b"\r\n" + longest + b"x\r\nNOOP\r\n"])

    assert outcome.replies == b"250 ok\r\n500 line too long (#5.5.2)\r\n250 ok\r\n"


def test_one_event_is_open_at_a_time() -> None:
    session = ServerSession()
    session.receive_data(MAIL)
    session.next_event()

    with pytest.raises(RuntimeError):
        session.next_event()


def test_an_answer_needs_an_event() -> None:
    with pytest.raises(RuntimeError):
        ServerSession().answer(OK)


def test_the_caller_may_end_the_session() -> None:
    session = ServerSession()

    session.close(reply(421, b"later"))

    assert session.next_event() is None
    assert session.data_to_send() == b"421 later\r\n"
