"""However the bytes of a client of QMTP or QMQP are cut, it says the same."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.netstrings import events, package, request

from pyqmail.protocol.netstring import NetstringError
from pyqmail.protocol.qmqp import RequestReader
from pyqmail.protocol.qmtp import MessageData, PackageReader

if TYPE_CHECKING:
    from pyqmail.protocol.qmtp import Event

ENGINES = [PackageReader, RequestReader]
ADDRESSES = st.sampled_from([b"", b"joe@example.org", b"a\0", b"x" * 999, b"x" * 1000])
WORDS = st.sampled_from(
    [b"0:,", b"1:", b"2:\n", b"3:\r", b"\r\n", b"\n", b",", b":", b"9", b"00", b"-", b"a", b"\xb2"]
)


def cut(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(wire)]
    return [wire[a:b] for a, b in pairwise(edges)]


def understood(engine: type[PackageReader | RequestReader], pieces: list[bytes]) -> list[object]:
    """Return events, with messages in one piece, and the error if there is one."""
    reader = engine()
    seen: list[object] = []
    for piece in pieces:
        reader.receive_data(piece)
        try:
            while (event := reader.next_event()) is not None:
                append(seen, event)
        except NetstringError as error:
            return [*seen, type(error)]
    return seen


def append(seen: list[object], event: Event) -> None:
    if isinstance(event, MessageData) and seen and isinstance(seen[-1], bytes):
        seen[-1] += event.data
    else:
        seen.append(event.data if isinstance(event, MessageData) else event)


@settings(deadline=None)
@given(
    messages=st.lists(st.binary(max_size=30), min_size=1, max_size=3),
    addresses=st.lists(ADDRESSES, min_size=1, max_size=4),
    data=st.data(),
)
def test_where_packages_are_cut_changes_nothing(
    messages: list[bytes], addresses: list[bytes], data: st.DataObject
) -> None:
    wire = b"".join(package(b"\r" + message, *addresses) for message in messages)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=20))

    assert understood(PackageReader, cut(wire, cuts)) == understood(PackageReader, [wire])


@settings(deadline=None)
@given(
    message=st.binary(max_size=30),
    addresses=st.lists(ADDRESSES, min_size=1, max_size=4),
    data=st.data(),
)
def test_where_a_request_is_cut_changes_nothing(
    message: bytes, addresses: list[bytes], data: st.DataObject
) -> None:
    wire = request(message, *addresses)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=20))

    assert understood(RequestReader, cut(wire, cuts)) == understood(RequestReader, [wire])


@pytest.mark.parametrize("engine", ENGINES)
@settings(deadline=None)
@given(words=st.lists(WORDS, max_size=30), data=st.data())
def test_where_nonsense_is_cut_changes_nothing(
    engine: type[PackageReader | RequestReader], words: list[bytes], data: st.DataObject
) -> None:
    wire = b"".join(words)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=20))

    assert understood(engine, cut(wire, cuts)) == understood(engine, [wire])


@settings(deadline=None)
@given(message=st.binary(max_size=200), addresses=st.lists(ADDRESSES, min_size=1, max_size=4))
def test_what_a_client_packs_arrives(message: bytes, addresses: list[bytes]) -> None:
    seen = events(PackageReader(), package(b"\n" + message, *addresses))

    data = b"".join(event.data for event in seen if isinstance(event, MessageData))
    assert data == message
