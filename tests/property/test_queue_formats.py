"""Envelopes and frames, whatever a client sends and wherever its bytes are cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pyqmail.queue.envelope_file import (
    DamagedEnvelope,
    EnvelopeParser,
    encode_envelope,
    encode_recipient,
    records,
)
from pyqmail.queue.frames import FrameReader, encode_frame
from pyqmail.queue.outcome import QueueFailure

ADDRESS = st.binary(max_size=30).map(lambda data: data.replace(b"\0", b""))
# Mostly what an envelope is made of, so that many examples get far.
ENVELOPE_LIKE = st.lists(
    st.sampled_from([b"F", b"T", b"\0", b"X", b"a@b", b"a" * 1001, b"a" * 1002, b"a" * 1003])
).map(b"".join)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def feed_all(pieces: list[bytes]) -> tuple[int, bytes | None]:
    """Return the exit code of qmail-queue, and what is stored if there is none."""
    parser = EnvelopeParser()
    stored = b""
    try:
        for piece in pieces:
            stored += parser.feed(piece)
    except QueueFailure as failure:
        return failure.code, None
    return (0, stored) if parser.finished else (54, None)


def plain_model(data: bytes) -> tuple[int, bytes | None]:
    """The rule, one byte at a time."""
    place = 0
    first = True
    while True:
        if place == len(data):
            return 54, None
        letter = data[place : place + 1]
        if letter == b"\0" and not first:
            return 0, data[:place]
        if letter != (b"F" if first else b"T"):
            return 91, None
        place += 1
        for _ in range(1003):
            if place == len(data):
                return 54, None
            place += 1
            if data[place - 1] == 0:
                break
        else:
            return 11, None
        first = False


@given(ENVELOPE_LIKE)
def test_the_parser_obeys_the_plain_rule(data: bytes) -> None:
    assert feed_all([data]) == plain_model(data)


@given(ENVELOPE_LIKE, st.lists(st.integers(0, 3000)))
def test_where_an_envelope_is_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    assert feed_all(cut(data, cuts)) == feed_all([data])


@given(ADDRESS, st.lists(ADDRESS))
def test_what_is_encoded_is_taken(reverse_path: bytes, forward_paths: list[bytes]) -> None:
    envelope = encode_envelope(reverse_path, forward_paths)

    assert feed_all([envelope]) == (0, envelope[:-1])


@given(st.lists(ADDRESS), st.lists(st.integers(1, 200)))
def test_where_a_file_is_cut_changes_no_record(addresses: list[bytes], cuts: list[int]) -> None:
    data = b"".join(encode_recipient(address) for address in addresses)
    pieces = iter([*filter(None, cut(data, cuts)), b""])

    assert list(records(lambda: next(pieces))) == [b"T" + address for address in addresses]


@given(st.binary(max_size=200))
def test_a_file_of_records_is_read_or_called_damaged(data: bytes) -> None:
    pieces = iter([data, b""])

    try:
        found = list(records(lambda: next(pieces)))
    except DamagedEnvelope:
        assert data
        assert not data.endswith(b"\0")
    else:
        assert b"".join(record + b"\0" for record in found) == data


FRAME = st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([b"B", b"E", b"A"]), st.binary())


@given(st.lists(FRAME), st.lists(st.integers(0, 2000)))
def test_where_frames_are_cut_changes_nothing(
    frames: list[tuple[int, bytes, bytes]], cuts: list[int]
) -> None:
    reader = FrameReader()
    found: list[tuple[int, bytes, bytes]] = []
    open_payload = b""

    for piece in cut(b"".join(encode_frame(*frame) for frame in frames), cuts):
        reader.feed(piece)
        while (part := reader.next_piece()) is not None:
            tag, kind, payload, is_last = part
            open_payload += payload
            if is_last:
                found.append((tag, kind, open_payload))
                open_payload = b""

    assert found == frames
