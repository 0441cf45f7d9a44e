from __future__ import annotations

import socket

import pytest

from pyqmail.system.tcp import parse_ip_address


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"127.0.0.1", "127.0.0.1"),
        (b"192.0.2.1:629", "192.0.2.1"),
        (b"192.0.2.1 first", "192.0.2.1"),
        (b"256.0.1000000000000000000000001.010", "0.0.1.10"),
        (b"192.0.2.1.7", "192.0.2.1"),
    ],
)
def test_an_ipv4_address_is_read_as_the_original_does(line: bytes, text: str) -> None:
    address = parse_ip_address(line)

    assert address is not None
    assert (address.family, address.text) == (socket.AF_INET, text)


def test_an_ipv6_address_is_one() -> None:
    address = parse_ip_address(b"2001:db8::1")

    assert address is not None
    assert (address.family, address.text) == (socket.AF_INET6, "2001:db8::1")


@pytest.mark.parametrize(
    "line",
    [b"", b"host.example.net", b"1.2.3", b"1.2.3.", b" 1.2.3.4", b"-1.2.3.4", b"::g", b"\xff"],
)
def test_anything_else_is_no_address(line: bytes) -> None:
    assert parse_ip_address(line) is None
