from __future__ import annotations

from itertools import product

import pytest

from pyqmail.protocol.smtp.data import BareLineFeed, DataDecoder


def decode(wire: bytes, step: int = 1_000_000) -> tuple[bytes, bytes] | None:
    """Return message and rest, or None if the end has not come. Raises BareLineFeed."""
    decoder = DataDecoder()
    message = b""
    for at in range(0, len(wire), step):
        message += decoder.feed(wire[at : at + step])
        if decoder.finished:
            return message, decoder.rest + wire[at + step :]
    return None


# The table of qmail-smtpd: state and byte, what is put out, next state. Any other byte is put out
# after OTHER_BYTES, and leads into the line.
TABLE = {
    "line start": {b"\r": (b"", "CR"), b".": (b"", "dot"), b"\n": (b"", "bare")},
    "in line": {b"\r": (b"", "CR"), b"\n": (b"", "bare")},
    "dot": {b"\r": (b"", "dot CR"), b"\n": (b"", "bare")},
    "dot CR": {b"\r": (b".\r", "CR"), b"\n": (b"", "end")},
    "CR": {b"\r": (b"\r", "CR"), b"\n": (b"\n", "line start")},
}
OTHER_BYTES = {"line start": b"", "in line": b"", "dot": b"", "dot CR": b".\r", "CR": b"\r"}


def decode_byte_by_byte(wire: bytes) -> tuple[bytes, bytes] | None:
    """Do the same by the table, one byte after the other."""
    message = b""
    state = "line start"
    for position in range(len(wire)):
        byte = wire[position : position + 1]
        output, state = TABLE[state].get(byte, (OTHER_BYTES[state] + byte, "in line"))
        message += output
        if state == "bare":
            raise BareLineFeed
        if state == "end":
            return message, wire[position + 1 :]
    return None


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\n"),
        (b"a\r\n..\r\n.\r\n", b"a\n.\n"),
        (b".a\r\n.\r\n", b"a\n"),
        (b"a\r\n.\rb\r\n.\r\n", b"a\n.\rb\n"),
        (b"a\r\n.\r\r\n.\r\n", b"a\n.\r\n"),
        (b"a\r\r\r\nb\r\n.\r\n", b"a\r\r\nb\n"),
        (b"a\r.\r\nRSET\r\n.\r\n", b"a\r.\nRSET\n"),
        (b"\0\xff\r\n.\r\n", b"\0\xff\n"),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_a_message_comes_out_with_lf_and_without_stuffing(
    wire: bytes, message: bytes, step: int
) -> None:
    assert decode(wire + b"NOOP\r\n", step) == (message, b"NOOP\r\n")


@pytest.mark.parametrize("wire", [b"\n", b"a\nb", b".\n", b"a\r\n.\n", b"\r\n\n", b"a\n.\r\n"])
@pytest.mark.parametrize("step", [1, 100])
def test_a_bare_line_feed_breaks_the_message(wire: bytes, step: int) -> None:
    with pytest.raises(BareLineFeed):
        decode(wire, step)


@pytest.mark.parametrize("length", range(8))
def test_every_mix_of_line_ends_and_dots_means_what_the_original_says(length: int) -> None:
    for mix in product(b"\r\n.a", repeat=length):
        wire = bytes(mix)
        for step in (1, 3, 100):
            assert _outcome(decode, wire, step) == _outcome(decode_byte_by_byte, wire), wire


def _outcome(function: object, *arguments: object) -> object:
    try:
        return function(*arguments)  # type: ignore[operator]
    except BareLineFeed:
        return BareLineFeed


def test_at_most_four_bytes_wait_for_the_next_piece() -> None:
    decoder = DataDecoder()

    message = decoder.feed(b"x" * 1000 + b"\r\n.\r")

    assert message == b"x" * 1000
    assert decoder.feed(b"y") == b"\n.\ry"
