from __future__ import annotations

import pytest

from pyqmail.protocol.pop3 import (
    MAX_LINE,
    OK,
    CommandReader,
    Maildrop,
    MessageEncoder,
    Refused,
    parse_command,
)

SIZES = [10, 20, 30]
UIDS = [b"one", b"two", b"three"]


@pytest.fixture
def drop() -> Maildrop:
    return Maildrop(UIDS, SIZES.__getitem__)


@pytest.mark.parametrize(
    ("line", "verb", "argument"),
    [
        (b"STAT\r\n", b"stat", b""),
        (b"stat\n", b"stat", b""),
        (b"PASS   two words \r\n", b"pass", b"two words "),
        (b"LIST\t1\r\n", b"list\t1", b""),
        (b"STAT\r\r\n", b"stat\r", b""),
        (b"QUIT\0 now\r\n", b"quit", b""),
        (b"\r\n", b"", b""),
        (b" \r\n", b"", b""),
    ],
)
def test_a_command_is_read_as_the_original_does(line: bytes, verb: bytes, argument: bytes) -> None:
    command = parse_command(line)

    assert (command.verb, command.argument) == (verb, argument)


def test_a_line_that_is_too_long_is_refused_once_and_the_next_is_whole() -> None:
    reader = CommandReader()
    for _ in range(20):
        reader.feed(b"x" * MAX_LINE)
        assert reader.next_command() is None
    reader.feed(b"x\r\nSTAT\r\n")

    with pytest.raises(ValueError, match="too long"):
        reader.next_command()
    command = reader.next_command()
    assert command is not None
    assert command.verb == b"stat"
    assert reader.next_command() is None


def test_messages_count_from_1(drop: Maildrop) -> None:
    assert drop.list(b"") == b"+OK \r\n1 10\r\n2 20\r\n3 30\r\n.\r\n"
    assert drop.uidl(b"2") == b"+OK 2 two\r\n"


def test_a_deleted_message_is_gone_from_lists_and_sums_until_reset(drop: Maildrop) -> None:
    assert drop.delete(b"2") == OK

    assert drop.stat() == b"+OK 3 40\r\n"
    assert drop.uidl(b"") == b"+OK \r\n1 one\r\n3 three\r\n.\r\n"
    assert drop.last() == b"+OK 2\r\n"
    drop.reset()
    assert drop.stat() == b"+OK 3 60\r\n"
    assert drop.last() == b"+OK 0\r\n"


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        (b"", b"syntax error"),
        (b"x", b"syntax error"),
        (b"-1", b"syntax error"),
        (b"\xb2", b"syntax error"),
        (b"0", b"messages are counted from 1"),
        (b"00", b"messages are counted from 1"),
        (b"4", b"not that many messages"),
        (b"9" * 10000, b"not that many messages"),
        (b"18446744073709551617", b"not that many messages"),
        (b"2", b"already deleted"),
    ],
)
def test_a_number_that_is_no_message_is_refused(
    drop: Maildrop, argument: bytes, text: bytes
) -> None:
    drop.delete(b"2")

    with pytest.raises(Refused) as refused:
        drop.delete(argument)

    assert refused.value.reply == b"-ERR " + text + b"\r\n"


@pytest.mark.parametrize(
    ("argument", "wanted"),
    [
        (b"1", (0, None)),
        (b"3x", (2, None)),
        (b"01 0", (0, 0)),
        (b"1   12 more", (0, 12)),
        (b"1 x", (0, None)),
    ],
)
def test_a_message_and_lines_of_it_can_be_wanted(
    drop: Maildrop, argument: bytes, wanted: tuple[int, int | None]
) -> None:
    assert drop.wanted(argument) == wanted


def sent(message: bytes, lines: int | None = None) -> bytes:
    """Return what a client gets, the same however the message is read."""
    encoder = MessageEncoder(lines)
    whole = encoder.feed(message) + encoder.end()
    encoder = MessageEncoder(lines)
    pieces = b""
    for index in range(len(message)):
        if not encoder.finished:
            pieces += encoder.feed(message[index : index + 1])
    assert pieces + encoder.end() == whole
    return whole


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b""),
        (b"a\n", b"a\r\n"),
        (b"a", b"a\r\n"),
        (b".\n..\n.a\nb.\n", b"..\r\n...\r\n..a\r\nb.\r\n"),
        (b"a\r\nb\rc\n", b"a\r\r\nb\rc\r\n"),
        (b"\n\n.", b"\r\n\r\n..\r\n"),
    ],
)
def test_a_message_gets_line_ends_dots_and_an_empty_line(message: bytes, wire: bytes) -> None:
    assert sent(message) == wire + b"\r\n.\r\n"


@pytest.mark.parametrize(
    ("message", "lines", "wire"),
    [
        (b"h: x\n\none\ntwo\n", 0, b"h: x\r\n\r\n"),
        (b"h: x\n\none\ntwo\n", 1, b"h: x\r\n\r\none\r\n"),
        (b"h: x\n\none\ntwo\n", 9, b"h: x\r\n\r\none\r\ntwo\r\n"),
        (b"h: x\n\none\ntwo", 2, b"h: x\r\n\r\none\r\ntwo\r\n"),
        (b"h: x\n\n\n\nthree\n", 2, b"h: x\r\n\r\n\r\n\r\n"),
        (b"\none\ntwo\n", 1, b"\r\none\r\n"),
        (b"h: x\ni: y\n", 0, b"h: x\r\ni: y\r\n"),
    ],
)
def test_lines_count_after_the_header(message: bytes, lines: int, wire: bytes) -> None:
    assert sent(message, lines) == wire + b"\r\n.\r\n"
