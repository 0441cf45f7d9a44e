from __future__ import annotations

import pytest
from tests.support.netstrings import events, package

from pyqmail.protocol.netstring import NetstringError, NetstringTooLong, encode_netstring
from pyqmail.protocol.qmtp import (
    MAX_ADDRESS,
    ForwardPath,
    MessageBegin,
    MessageData,
    MessageSize,
    PackageEnd,
    PackageReader,
    ReversePath,
)


def message_of(*pieces: bytes) -> bytes:
    """Return the message of the one package that arrives in pieces."""
    seen = events(PackageReader(), *pieces)
    return b"".join(event.data for event in seen if isinstance(event, MessageData))


def test_a_package_is_a_message_a_reverse_path_and_forward_paths() -> None:
    wire = package(b"\nSubject: x\n", b"sue@example.net", b"joe@example.org", b"")

    assert events(PackageReader(), wire) == [
        MessageBegin(),
        MessageSize(11),
        MessageData(b"Subject: x\n"),
        ReversePath(b"sue@example.net"),
        ForwardPath(b"joe@example.org"),
        ForwardPath(b""),
        PackageEnd(),
    ]


def test_packages_follow_one_another() -> None:
    wire = package(b"\na", b"x") + package(b"\nb", b"y")

    seen = events(PackageReader(), wire)

    assert [event.address for event in seen if isinstance(event, ReversePath)] == [b"x", b"y"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"a\r\nb\r\n", b"a\nb\n"),
        (b"\r", b"\r"),
        (b"a\rb", b"a\rb"),
        (b"a\r\r\nb\r\r", b"a\r\nb\r\r"),
        (b"a\nb", b"a\nb"),
        (b"", b""),
    ],
)
def test_only_cr_lf_is_changed_where_lines_end_with_it(sent: bytes, kept: bytes) -> None:
    wire = package(b"\r" + sent, b"x", b"y")

    assert message_of(wire) == kept
    assert message_of(*(wire[i : i + 1] for i in range(len(wire)))) == kept


def test_no_byte_is_changed_where_lines_end_with_lf() -> None:
    assert message_of(package(b"\na\r\nb\rc\0", b"x")) == b"a\r\nb\rc\0"


def test_an_address_that_is_too_long_is_read_over() -> None:
    long = b"x" * (MAX_ADDRESS + 1)

    seen = events(PackageReader(), package(b"\n", long, long[1:], long, b"joe"))

    assert ReversePath(None) in seen
    assert [each.address for each in seen if isinstance(each, ForwardPath)] == [
        long[1:],
        None,
        b"joe",
    ]


@pytest.mark.parametrize(
    "wire",
    [
        b"0:,",
        b"3:abc,",
        b"2:\nab",
        b"2:\na,1:ab",
        b"2:\na,1:b,5:9:abc,,",
        b"2:\na,1:b,4:1:a;,",
        b"2:\na,1:b,2:10,",
        b"2:\na,1:b,4:1:a,;",
        b"2:\na,1:b,4:;:aaaaaaaaaaa,",
        b"2:\na,1:b,4:-1:,",
    ],
)
def test_whoever_breaks_the_protocol_is_not_understood(wire: bytes) -> None:
    with pytest.raises(NetstringError):
        events(PackageReader(), wire)


def test_a_length_beyond_everything_is_refused() -> None:
    with pytest.raises(NetstringTooLong):
        events(PackageReader(), b"2:\na,1:b,20:20000000000")


def test_a_message_in_pieces_is_handed_on_piece_by_piece() -> None:
    start, end = b"10000001:\n", b"," + encode_netstring(b"x") + b"0:,"
    reader = PackageReader()
    reader.receive_data(start)
    sizes = set()
    for _ in range(1000):
        sizes |= {len(e.data) for e in events(reader, b"a" * 10000) if isinstance(e, MessageData)}

    assert sizes == {10000}
    assert PackageEnd() in events(reader, end)
