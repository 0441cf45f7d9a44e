from __future__ import annotations

import pytest

from pyqmail.delivery.paths import ascii_form, international_form, is_international, wire_form


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        (b"a b@x", b'"a b"@x'),
        (b"a@b@x", b'"a@b"@x'),
        (b"@x", b'""@x'),
        (b"a b", b"a b"),
        (b"", b""),
        (b"a@x y", b"a@x y"),
        (b"\xe4@x", b'"\xe4"@x'),
    ],
)
def test_the_local_part_is_quoted_and_the_domain_is_not(address: bytes, wire: bytes) -> None:
    assert wire_form(address) == wire


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        (b"a@x", False),
        ("ä@x".encode(), True),
        ("a@ä".encode(), True),
        (b"\xe4@x", False),
        (b"", False),
    ],
)
def test_an_internationalized_address_is_one_in_utf_8(address: bytes, *, answer: bool) -> None:
    assert is_international(address) is answer


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("ä@x", "ä@x"),
        ("a.ä@ö.example", "a.ä@ö.example"),
        ("ä b@x", '"ä b"@x'),
        ("ä..b@x", '"ä..b"@x'),
        (".ä@x", '".ä"@x'),
        ("ä", "ä"),
    ],
)
def test_an_internationalized_local_part_needs_no_quotes(address: str, wire: str) -> None:
    assert international_form(address.encode()) == wire.encode()


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("a@bücher.example", b"a@xn--bcher-kva.example"),
        ("a b@bücher.example", b'"a b"@xn--bcher-kva.example'),
        ("ä@example.org", None),
        ("ä", None),
        ("a@" + "ü" * 70, None),
    ],
)
def test_a_domain_beyond_ascii_has_an_ascii_form(address: str, form: bytes | None) -> None:
    assert ascii_form(address.encode()) == form
