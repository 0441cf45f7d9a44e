from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyqmail.protocol.checkpassword import (
    MAX_SIZE,
    Credentials,
    Malformed,
    TooLarge,
    encode_credentials,
    parse_credentials,
)

FIELDS = st.binary(max_size=100).map(lambda data: data.replace(b"\0", b""))


@settings(deadline=None)
@given(name=FIELDS, password=FIELDS, timestamp=FIELDS)
def test_what_a_server_sends_is_read(name: bytes, password: bytes, timestamp: bytes) -> None:
    credentials = Credentials(name, password, timestamp)

    assert parse_credentials(encode_credentials(credentials)) == credentials


def test_the_wire_is_three_fields_with_a_nul_after_each() -> None:
    assert encode_credentials(Credentials(b"joe", b"pw", b"<1@x>")) == b"joe\0pw\0<1@x>\0"


@pytest.mark.parametrize(
    ("data", "credentials"),
    [
        (b"joe\0pw\0", Credentials(b"joe", b"pw")),
        (b"joe\0pw\0now", Credentials(b"joe", b"pw", b"now")),
        (b"joe\0pw\0now\0more\0and more", Credentials(b"joe", b"pw", b"now")),
        (b"\0\0", Credentials(b"", b"")),
    ],
)
def test_only_name_and_password_must_be_complete(data: bytes, credentials: Credentials) -> None:
    assert parse_credentials(data) == credentials


@pytest.mark.parametrize("data", [b"", b"joe", b"joe\0", b"joe\0pw", b"\0"])
def test_without_two_nuls_nothing_is_understood(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_credentials(data)


def test_512_bytes_are_enough() -> None:
    most = b"joe\0" + b"x" * (MAX_SIZE - 6) + b"\0\0"

    assert parse_credentials(most).name == b"joe"
    with pytest.raises(TooLarge):
        parse_credentials(most + b"x")
    with pytest.raises(TooLarge):
        encode_credentials(Credentials(b"joe", b"x" * 507))


@pytest.mark.parametrize("place", range(3))
def test_a_nul_cannot_be_sent(place: int) -> None:
    fields = [b"a", b"b", b"c"]
    fields[place] = b"\0"

    with pytest.raises(Malformed):
        encode_credentials(Credentials(*fields))


def test_a_password_is_not_shown_in_a_log() -> None:
    assert "secret" not in repr(Credentials(b"joe", b"secret"))
