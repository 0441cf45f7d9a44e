from __future__ import annotations

import pytest

from pyqmail.protocol.smtp.server_reply import (
    KEPT_TEXT,
    MAX_REPLY,
    MalformedReply,
    ReplyReader,
    ServerReply,
    Verdict,
)

POSITIVE = range(200, 400)


def replies_in(data: bytes) -> list[ServerReply]:
    reader = ReplyReader()
    reader.feed(data)
    found = []
    while (reply := reader.take()) is not None:
        found.append(reply)
    return found


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (b"250 ok\r\n", 250, b"250 ok\n"),
        (b"550 no\n", 550, b"550 no\n"),
        (b"550\r\n", 550, b"550\n"),
        (b"553-a\r\n553 b\r\n", 553, b"553-a\n553 b\n"),
        (b"250-a\r\n550 b\r\n", 250, b"250-a\n550 b\n"),
        (b"250-a\r\n\r\n250 b\r\n", 250, b"250-a\n\n250 b\n"),
        (b"550 a\rb\r\n", 550, b"550 ab\n"),
    ],
)
def test_a_reply_is_read_as_the_original_reads_it(said: bytes, code: int, text: bytes) -> None:
    assert replies_in(said) == [ServerReply(code, text)]


@pytest.mark.parametrize("said", [b"abc def\r\n", b"hello\r\n", b"\0\0\0 \r\n", b"!!! x\r\n"])
def test_words_that_are_no_reply_refuse(said: bytes) -> None:
    (reply,) = replies_in(said)

    assert reply.verdict(POSITIVE) is Verdict.PERMANENT


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (100, Verdict.TRANSIENT),
        (199, Verdict.TRANSIENT),
        (200, Verdict.ACCEPTED),
        (399, Verdict.ACCEPTED),
        (400, Verdict.TRANSIENT),
        (499, Verdict.TRANSIENT),
        (500, Verdict.PERMANENT),
        (999, Verdict.PERMANENT),
    ],
)
def test_the_first_digit_decides_and_doubt_is_transient(code: int, verdict: Verdict) -> None:
    assert ServerReply(code, b"").verdict(POSITIVE) is verdict


def test_a_long_text_is_cut() -> None:
    (reply,) = replies_in(b"550 " + b"x" * 6000 + b"\r\n")

    assert reply.text == b"550 " + b"x" * (KEPT_TEXT - 4)


@pytest.mark.parametrize("said", [b"\r\n", b"25\r\n"])
def test_a_line_without_a_code_is_no_reply(said: bytes) -> None:
    with pytest.raises(MalformedReply):
        replies_in(said)


@pytest.mark.parametrize("piece", [b"x" * 1000, b"250-x\r\n"])
def test_a_reply_without_end_is_not_kept(piece: bytes) -> None:
    with pytest.raises(MalformedReply):
        replies_in(piece * (MAX_REPLY // (len(piece) - 1) + 1))


def test_the_lines_have_no_codes() -> None:
    (reply,) = replies_in(b"250-far\r\n250-SIZE 1000\r\n250 HELP\r\n")

    assert reply.lines == [b"far", b"SIZE 1000", b"HELP"]
