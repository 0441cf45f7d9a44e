"""What a POP3 client gets of a message, and what it says, however that is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pyqmail.protocol.pop3 import CommandReader, MessageEncoder

TEXT = st.lists(st.sampled_from([b"\n", b"\n", b".", b"\r", b"a", b"\n\n", b"\0"])).map(b"".join)


def cut(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(each, len(wire)) for each in cuts), len(wire)]
    return [wire[a:b] for a, b in pairwise(edges)]


def sent(pieces: list[bytes], lines: int | None) -> bytes:
    encoder = MessageEncoder(lines)
    wire = b""
    for piece in pieces:
        if not encoder.finished:
            wire += encoder.feed(piece)
    return wire + encoder.end()


@settings(deadline=None)
@given(message=TEXT, lines=st.none() | st.integers(0, 4), cuts=st.lists(st.integers(0, 40)))
def test_how_a_message_is_read_changes_nothing(
    message: bytes, lines: int | None, cuts: list[int]
) -> None:
    assert sent(cut(message, cuts), lines) == sent([message], lines)


@settings(deadline=None)
@given(message=TEXT)
def test_a_client_can_tell_where_a_message_ends_and_what_it_was(message: bytes) -> None:
    wire = sent([message], None)

    assert wire.index(b"\r\n.\r\n") == len(wire) - 5
    lines = wire[:-3].split(b"\r\n")[:-2]  # the last two are the extra empty line and its end
    received = b"".join(line.removeprefix(b".") + b"\n" for line in lines)
    unfinished = bool(message) and not message.endswith(b"\n")
    assert received == message + b"\n" * unfinished


@settings(deadline=None)
@given(message=TEXT, lines=st.integers(0, 4))
def test_top_gives_a_beginning(message: bytes, lines: int) -> None:
    assert sent([message], None).startswith(sent([message], lines)[:-5])


@settings(deadline=None)
@given(
    wire=st.lists(st.sampled_from([b"STAT", b" ", b"\r", b"\n", b"\0"])).map(b"".join),
    cuts=st.lists(st.integers(0, 40)),
)
def test_how_commands_are_cut_changes_nothing(wire: bytes, cuts: list[int]) -> None:
    def commands(pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
        reader, seen = CommandReader(), []
        for piece in pieces:
            reader.feed(piece)
            while (command := reader.next_command()) is not None:
                seen.append((command.verb, command.argument))
        return seen

    assert commands(cut(wire, cuts)) == commands([wire])
