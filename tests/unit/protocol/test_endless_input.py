"""A client that never stops: what the engine keeps of it stays small."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

from tests.support.smtp import Server

from pyqmail.protocol.smtp.events import MessageData

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyqmail.protocol.smtp.server import ServerSession

PIECE = b"x" * 65536
PIECES = 400  # 25 MB
BOUND = 1_000_000  # bytes


def kept_while(feed: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        for _ in range(PIECES):
            feed()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_endless_command_is_not_kept() -> None:
    server = Server()

    assert kept_while(lambda: server.feed(PIECE)) < BOUND
    server.feed(b"\r\nNOOP\r\n")

    assert server.outcome.replies == b"500 line too long (#5.5.2)\r\n250 ok\r\n"


def test_an_endless_line_in_a_message_passes_through() -> None:
    session = session_in_message()
    passed = 0

    def feed() -> None:
        nonlocal passed
        session.receive_data(PIECE)
        while isinstance(event := session.next_event(), MessageData):
            passed += len(event.data)

    assert kept_while(feed) < BOUND
    assert passed == PIECES * len(PIECE)


def session_in_message() -> ServerSession:
    server = Server()
    server.feed(b"MAIL FROM:<a@b>\r\nRCPT TO:<joe@example.org>\r\nDATA\r\n")
    return server.session
