from __future__ import annotations

import pytest
from tests.support.netstrings import events, request

from pyqmail.protocol.netstring import NetstringError, NetstringTooLong
from pyqmail.protocol.qmqp import RequestReader
from pyqmail.protocol.qmtp import (
    ForwardPath,
    MessageBegin,
    MessageData,
    PackageEnd,
    ReversePath,
)


def test_a_request_is_a_message_a_reverse_path_and_forward_paths() -> None:
    wire = request(b"Subject: x\n", b"sue@example.net", b"joe@example.org", b"")

    assert events(RequestReader(), wire) == [
        MessageBegin(),
        MessageData(b"Subject: x\n"),
        ReversePath(b"sue@example.net"),
        ForwardPath(b"joe@example.org"),
        ForwardPath(b""),
        PackageEnd(),
    ]


def test_a_request_in_single_bytes_is_the_same_request() -> None:
    wire = request(b"hello", b"x" * 1000, b"joe")

    seen = events(RequestReader(), *(wire[i : i + 1] for i in range(len(wire))))

    assert [event for event in seen if not isinstance(event, MessageData)] == [
        MessageBegin(),
        ReversePath(None),
        ForwardPath(b"joe"),
        PackageEnd(),
    ]


@pytest.mark.parametrize(
    "wire",
    [
        b"0:,",
        b"5:3:ab,,",
        b"6:3:abc,,",
        b"10:9:abc,1:a,,",
        b"7:3:abc;0:,",
        b"7:3:abc,0:;",
        b"7:3:abc,0:,;",
        b"9:3:abc,0:,1:",
        b"x",
        b"0" * 101 + b"1:",
    ],
)
def test_whoever_breaks_the_protocol_is_not_understood(wire: bytes) -> None:
    with pytest.raises(NetstringError):
        events(RequestReader(), wire)


def test_a_length_beyond_everything_is_refused() -> None:
    with pytest.raises(NetstringTooLong):
        events(RequestReader(), b"123456789012:")
