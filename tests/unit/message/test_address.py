from __future__ import annotations

import pytest

from pyqmail.message.address import quote, quote_address, split_address, unquote


@pytest.mark.parametrize(
    "local",
    [b"joe", b"joe.public", b"a-b+c_d", b"!#$%&'*/=?^`{|}~"],
)
def test_a_dot_string_needs_no_quotes(local: bytes) -> None:
    assert quote(local) == local


@pytest.mark.parametrize(
    ("local", "quoted"),
    [
        (b"", b'""'),
        (b".joe", b'".joe"'),
        (b"joe.", b'"joe."'),
        (b"joe..public", b'"joe..public"'),
        (b"joe public", b'"joe public"'),
        (b'say "hi"', b'"say \\"hi\\""'),
        (b"back\\slash", b'"back\\\\slash"'),
        (b"two\r\nlines", b'"two\\\r\\\nlines"'),
        (b"a@b", b'"a@b"'),
        (b"caf\xc3\xa9", b'"caf\xc3\xa9"'),
        (b"del\x7f", b'"del\x7f"'),
        (b"nul\0", b'"nul\0"'),
    ],
)
def test_any_other_local_part_is_quoted_and_comes_back(local: bytes, quoted: bytes) -> None:
    assert quote(local) == quoted
    assert unquote(quoted) == local


def test_unquoting_a_dot_string_changes_nothing() -> None:
    assert unquote(b"joe.public") == b"joe.public"


def test_the_last_at_sign_splits_an_address() -> None:
    assert split_address(b"a@b@example.org") == (b"a@b", b"example.org")
    assert split_address(b"joe@") == (b"joe", b"")
    assert split_address(b"joe") == (b"joe", None)


def test_only_the_local_part_of_an_address_is_quoted() -> None:
    assert quote_address(b"a b@ex ample.org") == b'"a b"@ex ample.org'
    assert quote_address(b"a b") == b'"a b"'
    assert quote_address(b"@example.org") == b'""@example.org'


def test_the_empty_address_stays_empty() -> None:
    assert quote_address(b"") == b""
