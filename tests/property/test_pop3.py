"""What a POP3 client gets of a message, and what it says, however that is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pyqmail.protocol.pop3 import CommandReader, MessageEncoder
from pyqmail.protocol.pop3_login import AskCapabilities, LogIn, LoginSession, Offer, Response

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


WORDS = [b"USER", b"PASS", b"APOP", b"AUTH", b"CAPA", b"STLS", b"UTF8", b"QUIT", b"NOOP", b"PLAIN"]
SAID = st.lists(st.sampled_from([*WORDS, b" ", b" ", b"a", b"=", b"*", b"\0", b"\r\n", b"\n"]))


def dialog(pieces: list[bytes], *, extensions: bool) -> tuple[bytes, list[str], bytes]:
    """Return what a client heard, what was to be decided, and what was left for the session."""
    session = LoginSession(b"<1>", Offer(extensions=extensions, tls=True, passwords=True))
    heard, events = b"", []
    for piece in pieces:
        session.receive_data(piece)
        while (event := session.next_event()) is not None:
            events.append(type(event).__name__)
            if isinstance(event, AskCapabilities):
                session.tell_capabilities([b"PLAIN"])
            elif isinstance(event, LogIn | Response):
                session.refuse(b"no")
            else:
                session.challenge(b"?")
        heard += session.data_to_send()
    return heard, events, session.take_rest()


@settings(deadline=None)
@given(said=SAID.map(b"".join), cuts=st.lists(st.integers(0, 60)), extensions=st.booleans())
def test_how_a_login_is_cut_changes_nothing(
    *, said: bytes, cuts: list[int], extensions: bool
) -> None:
    whole = dialog([said], extensions=extensions)
    pieces = dialog(cut(said, cuts), extensions=extensions)

    assert pieces[:2] == whole[:2]


@settings(deadline=None)
@given(said=st.binary(max_size=200))
def test_any_bytes_are_answered_before_a_login(said: bytes) -> None:
    heard, _, _ = dialog([said], extensions=True)

    assert heard.endswith(b"\r\n")
