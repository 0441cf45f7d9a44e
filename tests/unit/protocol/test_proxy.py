from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyqmail.protocol.proxy import Ends, Header, ProxyError, parse_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ENDS = Ends(b"192.0.2.7", b"4567", b"192.0.2.1", b"25")


def version_2(command: int, family: int, addresses: bytes, more: bytes = b"") -> bytes:
    size = len(addresses + more)
    return SIGNATURE + struct.pack(">BBH", command, family, size) + addresses + more


ADDRESSES_4 = bytes([192, 0, 2, 7, 192, 0, 2, 1]) + struct.pack(">HH", 4567, 25)
ADDRESSES_6 = bytes.fromhex("20010db8" + "0" * 22 + "07" + "20010db8" + "0" * 22 + "01")
ADDRESSES_6 += struct.pack(">HH", 4567, 25)
GOOD = [
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 4567 25\r\n", ENDS),
    (
        b"PROXY TCP6 2001:db8::7 2001:db8::1 4567 25\r\n",
        Ends(b"2001:db8::7", b"4567", b"2001:db8::1", b"25"),
    ),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN what ever it is\r\n", None),
    (version_2(0x21, 0x11, ADDRESSES_4), ENDS),
    (version_2(0x21, 0x11, ADDRESSES_4, b"\x04\0\x01x"), ENDS),
    (
        version_2(0x21, 0x21, ADDRESSES_6),
        Ends(b"2001:db8::7", b"4567", b"2001:db8::1", b"25"),
    ),
    (version_2(0x20, 0, b""), None),
    (version_2(0x21, 0x31, b"x" * 216), None),
]


@pytest.mark.parametrize(("wire", "ends"), GOOD)
def test_a_header_says_who_the_client_is(wire: bytes, ends: Ends | None) -> None:
    assert parse_header(wire + b"EHLO x\r\n") == Header(ends, b"EHLO x\r\n")


@pytest.mark.parametrize(("wire", "ends"), GOOD)
def test_no_part_of_a_header_is_one(wire: bytes, ends: Ends | None) -> None:
    assert all(parse_header(wire[:n]) is None for n in range(len(wire))), ends


@pytest.mark.parametrize(
    "wire",
    [
        b"EHLO x\r\n",
        b"\r\nEHLO",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4567\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4567 25 x\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 65536 25\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 01 25\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 \xd9\xa1 25\r\n",
        b"PROXY TCP4 192.0.2 192.0.2.1 4567 25\r\n",
        b"PROXY TCP4 2001:db8::7 192.0.2.1 4567 25\r\n",
        b"PROXY TCP6 fe80::1%lo 2001:db8::1 4567 25\r\n",
        b"PROXY UDP4 192.0.2.7 192.0.2.1 4567 25\r\n",
        b"PROXY UNKNOWN " + b"x" * 100,
        version_2(0x22, 0x11, ADDRESSES_4),
        version_2(0x11, 0x11, ADDRESSES_4),
        version_2(0x21, 0x11, ADDRESSES_4[:-1]),
        SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 65535),
        b"\x16\x03\x01",
    ],
)
def test_what_is_no_header_is_refused(wire: bytes) -> None:
    with pytest.raises(ProxyError):
        parse_header(wire)


@given(wire=st.binary(max_size=200))
def test_no_bytes_whatever_do_more_than_be_refused(wire: bytes) -> None:
    for start in (b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE):
        try:
            header = parse_header(start + wire)
        except ProxyError:
            continue
        assert header is None or isinstance(header, Header)
