"""Thousands of SMTP sessions that say nothing, or something else than SMTP, on the plain port."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import affordable, crowd, resident
from tests.support.private_home import HOST, why_not
from tests.support.reception import Reception, reception

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("idle sessions"),
]

SESSIONS = 5000
MOST_MEMORY = 50_000  # bytes of the server's own for each session
GREETING = f"220 {HOST} ESMTP\r\n".encode()
UNIMPLEMENTED = b"502 unimplemented (#5.5.1)\r\n"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(200)
TRANSACTION = f"MAIL FROM:<a@b>\r\nRCPT TO:<aku@{HOST}>\r\nDATA\r\nx\r\n.\r\n".encode()


@pytest.fixture(scope="module")
def place() -> Iterator[Reception]:
    with reception("-c", str(SESSIONS + 10), "-b", "1000") as place:
        yield place


@pytest.mark.timeout(300)
def test_an_idle_session_costs_little_and_keeps_its_place(place: Reception) -> None:
    number = affordable(SESSIONS)
    assert place.server.ask(b"QUIT\r\n").startswith(GREETING)
    worker = place.server.worker()
    before = resident(worker)
    with crowd(place.server.port, number) as peers:
        greetings = {peer.recv(100) for peer in peers}
        each = (resident(worker) - before) / number
        for peer in peers:
            peer.sendall(b"QUIT\r\n")
        answers = {peer.recv(100) for peer in peers}

    sys.stdout.write(f"{number} idle sessions: {each:.0f} bytes each\n")
    assert greetings == {GREETING}
    assert answers == {f"221 {HOST}\r\n".encode()}
    assert each < MOST_MEMORY


@pytest.mark.parametrize(
    "words", [TLS_HELLO, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"]
)
def test_what_is_not_smtp_gets_one_answer_and_no_mail_through(
    place: Reception, words: bytes
) -> None:
    assert place.server.ask(words + TRANSACTION) == GREETING + UNIMPLEMENTED
    assert place.home.queued() == []
