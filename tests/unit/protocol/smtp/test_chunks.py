from __future__ import annotations

import pytest
from tests.support.smtp import Server, converse

from pyqmail.protocol.smtp.chunks import ChunkDecoder
from pyqmail.protocol.smtp.events import Chunk, ChunkEnd, MessageBroken, MessageData, MessageEnd
from pyqmail.protocol.smtp.states import State

ENVELOPE = b"MAIL FROM:<sue@example.net>\r\nRCPT TO:<joe@example.org>\r\n"


def test_chunks_become_one_message() -> None:
    server = Server()

    server.feed(ENVELOPE + b"BDAT 3\r\na\r\nBDAT 5 LAST\r\n.\r\nbcNOOP\r\n")

    assert server.seen[2:] == [
        Chunk(3, last=False),
        MessageData(b"a\n"),
        ChunkEnd(),
        Chunk(5, last=True),
        MessageData(b".\nbc"),
        MessageEnd(),
    ]
    assert server.outcome.messages[0][2] == b"a\n.\nbc"
    assert server.outcome.replies.endswith(b"250 ok\r\n" * 3)


@pytest.mark.parametrize("argument", [b"", b"x", b"-1", b"1 2", b"1 LAST x", b"1_0", b"9" * 21])
def test_a_chunk_of_unknown_size_ends_the_session(argument: bytes) -> None:
    outcome = converse([ENVELOPE + b"BDAT " + argument + b"\r\nMAIL FROM:<evil@example.net>\r\n"])

    assert outcome.replies.endswith(b"250 ok\r\n250 ok\r\n555 syntax error (#5.5.4)\r\n")
    assert outcome.state is State.CLOSED


def test_the_bytes_of_a_refused_chunk_are_no_commands() -> None:
    inside = b"MAIL FROM:<evil@example.net>\r\n"

    outcome = converse([b"BDAT %d LAST\r\n" % len(inside) + inside + b"NOOP\r\n"])

    assert outcome.replies == b"503 MAIL first (#5.5.1)\r\n250 ok\r\n"


def test_four_gibibytes_may_be_announced() -> None:
    server = Server()

    server.feed(ENVELOPE + b"BDAT 4294967296 LAST\r\nab")

    assert server.seen[-1] == MessageData(b"ab")
    assert server.outcome.state is State.CHUNK


def test_a_bare_line_feed_breaks_the_message_and_not_the_session() -> None:
    server = Server()

    server.feed(ENVELOPE + b"BDAT 3\r\na\nbBDAT 4 LAST\r\nNOOPRSET\r\n")

    assert MessageBroken() in server.seen
    assert server.outcome.messages == []
    assert server.outcome.replies.endswith(
        b"554 bare LF in message, see https://cr.yp.to/docs/smtplf.html (#5.6.0)\r\n"
        b"503 MAIL first (#5.5.1)\r\n250 flushed\r\n"
    )


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([b"a\r", b"\nb\r", b"\n"], b"a\nb\n"),
        ([b"a\r", b"b"], b"a\rb"),
        ([b"a\r", b""], b"a\r"),
        ([b"\r", b"\r", b"\n"], b"\r\n"),
        ([b""], b""),
    ],
)
def test_a_line_may_end_in_the_next_chunk(chunks: list[bytes], text: bytes) -> None:
    decoder = ChunkDecoder()
    decoded = b""
    for number, chunk in enumerate(chunks):
        decoder.begin(len(chunk), last=number == len(chunks) - 1)
        decoded += decoder.feed(chunk)

    assert decoded == text
    assert not decoder.broken
