"""`sendmail -bs` holds the sessions that mail programs hold with it, and queues their messages."""

from __future__ import annotations

import re
import smtplib
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.support.peers import PATIENCE
from tests.support.private_home import PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

AT_ONCE = (
    b"EHLO localhost\r\n"
    b"MAIL FROM:<aku@mail.example.org>\r\n"
    b"RCPT TO:<kamu@mail.example.org>\r\n"
    b"DATA\r\n"
    b"Subject: at once\r\n\r\n..\r\nFrom me.\r\n.\r\n"
    b"RSET\r\n"
    b"QUIT\r\n"
)


@pytest.fixture
def home() -> Iterator[PrivateHome]:
    """Give a home with the users aku and kamu that runs."""
    with PrivateHome("aku", "kamu") as home:
        home.start()
        yield home


def test_a_session_that_is_sent_at_once_queues_its_message(home: PrivateHome) -> None:
    done = home.run("sendmail", "-bs", text=AT_ONCE)

    assert (done.returncode, done.stderr) == (0, b"")
    codes = re.findall(rb"^(\d{3}) ", done.stdout, re.MULTILINE)
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"250", b"221"]
    home.wait(lambda: bool(home.mail("kamu")), "nothing arrives")
    (message,) = home.mail("kamu")
    assert message.startswith(b"Return-Path: <aku@mail.example.org>\n")
    assert message.endswith(b"Subject: at once\n\n.\nFrom me.\n")


def test_a_client_that_waits_for_each_reply_may_relay(home: PrivateHome) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = subprocess.Popen(
            [f"{home.path}/bin/sendmail", "-bs"], stdin=theirs, stdout=theirs, **home.options()
        )
        theirs.close()
        client = smtplib.SMTP(timeout=PATIENCE)
        client.sock = ours
        assert client.getreply()[0] == 220
        to = ["kamu@mail.example.org", "ann@far.example.net"]
        refused = client.sendmail("aku@mail.example.org", to, b"Subject: hi\r\n\r\nhello\r\n")
        client.quit()
        code = child.wait(PATIENCE)

    assert (refused, code) == ({}, 0)
    home.wait(lambda: bool(home.mail("kamu")), "nothing arrives")
    home.wait_until_logged("to remote ann@far.example.net")


def test_a_session_that_ends_early_queues_nothing(home: PrivateHome) -> None:
    home.run("sendmail", "-bs", text=AT_ONCE.partition(b"\r\n.\r\n")[0])

    assert home.queued() == []
    assert home.mail("kamu") == []
