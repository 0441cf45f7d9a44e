from __future__ import annotations

import itertools
import re

import pytest

from pyqmail.protocol.smtp.data import DataDecoder
from pyqmail.protocol.smtp.data_encoder import DataEncoder, PartialLastLine

ALPHABET = b"\r\n.x\0"
LONGEST = 6


def on_the_wire(message: bytes, cut: int | None = None) -> bytes:
    encoder = DataEncoder()
    pieces = [message] if cut is None else [message[:cut], message[cut:]]
    return b"".join(map(encoder.feed, pieces)) + encoder.finish()


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b".\r\n"),
        (b"a\nb\n", b"a\r\nb\r\n.\r\n"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n.\r\n"),
        (b".\n", b"..\r\n.\r\n"),
        (b"..\n.a\n", b"...\r\n..a\r\n.\r\n"),
        (b"a\rb\n", b"a b\r\n.\r\n"),
        (b"\r.\r\n", b" .\r\n.\r\n"),
        (b"a\r\r\nb\n", b"a \r\nb\r\n.\r\n"),
        (b"a\r", b"a\r\n.\r\n"),
        (b"a\n\r", b"a\r\n\r\n.\r\n"),
        (b"\0\xff\n", b"\0\xff\r\n.\r\n"),
    ],
)
def test_lines_end_with_crlf_and_dots_are_doubled(message: bytes, wire: bytes) -> None:
    assert on_the_wire(message) == wire


@pytest.mark.parametrize("message", [b"a", b"a\n.", b"\n\ra"])
def test_a_message_without_the_end_of_its_last_line_has_no_end(message: bytes) -> None:
    with pytest.raises(PartialLastLine):
        on_the_wire(message)


def bodies(longest: int) -> list[bytes]:
    lengths = range(longest + 1)
    return [bytes(b) for n in lengths for b in itertools.product(ALPHABET, repeat=n)]


def complete(body: bytes) -> bytes:
    return body if body.endswith((b"\n", b"\r")) else body + b"\n"


def test_every_receiver_sees_one_message_whatever_is_in_it() -> None:
    wires = [on_the_wire(complete(body)) for body in bodies(LONGEST)]

    for wire in wires:
        assert wire.count(b"\r\n") == wire.count(b"\r") == wire.count(b"\n")
        # One that takes any of CR, LF and CR LF for the end of a line.
        assert re.split(rb"\r\n|\r|\n", wire).index(b".") == wire.count(b"\r\n") - 1
        decoder = DataDecoder()
        decoder.feed(wire)
        assert (decoder.finished, decoder.rest) == (True, b"")


def test_the_strict_receiver_gets_what_was_sent_but_for_bare_carriage_returns() -> None:
    for body in bodies(4):
        message = complete(body)
        decoder = DataDecoder()
        expected = re.sub(rb"\r(?!\n|\Z)", b" ", message)

        assert decoder.feed(on_the_wire(message)) == re.sub(rb"\r\n?", b"\n", expected)


def test_where_a_message_is_cut_changes_nothing() -> None:
    for body in bodies(4):
        message = complete(body)
        wires = {on_the_wire(message, cut) for cut in range(len(message) + 1)}

        assert wires == {on_the_wire(message)}
