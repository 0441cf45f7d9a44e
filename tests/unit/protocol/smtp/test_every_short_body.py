"""Every body of up to six bytes that could do harm, sent in a session, as receivers read it.

The receivers here share nothing with our own engines. Beside the one that the
standard asks for stand two of a kind that has let strangers smuggle messages.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest

from pyqmail.protocol.smtp.client import ClientSession, Path
from pyqmail.protocol.smtp.data_encoder import PartialLastLine

if TYPE_CHECKING:
    from collections.abc import Iterator

ALPHABET = b"\r\n.x\0"
LONGEST = 6
HEADER = b"s: x\n\n"
COMMANDS = b"MAIL FROM:<s@x>\r\nRCPT TO:<a@y>\r\nDATA\r\n"
STRICT = re.compile(rb"\r\n")
LENIENT = re.compile(rb"\r?\n")
ANYTHING = re.compile(rb"\r\n|\r|\n")


def bodies() -> Iterator[bytes]:
    for length in range(LONGEST + 1):
        yield from map(bytes, itertools.product(ALPHABET, repeat=length))


def session_sending(message: bytes) -> bytes:
    """Return all that a client says after its name. Raises PartialLastLine."""
    session = ClientSession(b"me")
    session.receive_data(b"220 far\r\n250 far\r\n")
    while session.next_answer():
        session.data_to_send()
    session.begin(Path(b"s@x"), [Path(b"a@y")])
    session.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n")
    while session.next_answer():
        pass
    said = session.data_to_send()
    said += session.send_message(message) + session.end_message()
    session.receive_data(b"250 ok\r\n")
    assert session.next_answer()
    session.quit()
    return said + session.data_to_send()


def receive(said: bytes, line_end: re.Pattern[bytes]) -> tuple[list[list[bytes]], list[bytes]]:
    """Return the messages, as lines, and the commands that a server hears."""
    messages: list[list[bytes]] = []
    commands = []
    *lines, rest = line_end.split(said)
    assert rest == b"", "whoever leaves has finished his line"
    unread = iter(lines)
    for line in unread:
        commands.append(line)
        if line == b"DATA":
            data = itertools.takewhile(lambda each: each != b".", unread)
            messages.append([each[1:] if each.startswith(b".") else each for each in data])
    return messages, commands


def lines_of(message: bytes) -> list[bytes]:
    """Return the lines of a queued message, as documented: CR LF and LF end one, CR is a space.

    A CR at the very end of a message ends its line, as for the original.
    """
    end = message.endswith(b"\r")
    text = (message[:-1] if end else message).replace(b"\r\n", b"\n").replace(b"\r", b" ")
    *lines, rest = (text + b"\n" if end else text).split(b"\n")
    assert rest == b"", "the last line has an end"
    return lines


@pytest.mark.parametrize("header", [b"", HEADER])
def test_every_receiver_gets_one_message_and_the_right_one(header: bytes) -> None:
    heard = [b"MAIL FROM:<s@x>", b"RCPT TO:<a@y>", b"DATA", b"QUIT"]
    number = 0
    for body in bodies():
        message = header + body + b"\n"
        said = session_sending(message)
        expected = ([lines_of(message)], heard)
        for line_end in (STRICT, LENIENT, ANYTHING):
            assert receive(said, line_end) == expected, body
        number += 1

    assert number == 19_531


def test_a_body_as_it_is_arrives_whole_or_not_at_all() -> None:
    refused = 0
    for body in bodies():
        message = HEADER + body
        try:
            said = session_sending(message)
        except PartialLastLine:
            refused += 1
            assert not message.endswith((b"\r", b"\n"))
            continue
        messages, _ = receive(said, STRICT)
        assert messages == [lines_of(message)], body

    # The last byte is one of three that end no line; the empty body follows an empty line.
    assert refused == 3 * sum(5**length for length in range(LONGEST))
