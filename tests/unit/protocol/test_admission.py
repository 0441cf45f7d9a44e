from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyqmail.protocol.admission import MAX_PACKET, PASSWORD, Request, TooLong

NAMES = st.binary(min_size=1, max_size=9).map(
    lambda name: name.replace(b"\0", b"").replace(b"=", b"")
)
VALUES = st.binary(max_size=9).map(lambda value: value.replace(b"\0", b""))


@given(
    environ=st.dictionaries(NAMES.filter(bool), VALUES),
    fields=st.lists(st.binary(max_size=9)).map(tuple),
)
def test_a_request_is_read_as_it_was_written(
    environ: dict[bytes, bytes], fields: tuple[bytes, ...]
) -> None:
    request = Request(PASSWORD, environ, fields)

    assert Request.parse(request.encode()) == request


@given(packet=st.binary(max_size=40))
def test_any_bytes_are_a_request_or_an_error(packet: bytes) -> None:
    try:
        request = Request.parse(packet)
    except ValueError:
        return

    assert isinstance(request, Request)


def test_a_request_has_a_bound() -> None:
    with pytest.raises(TooLong):
        Request(PASSWORD, {}, (b"x" * MAX_PACKET,)).encode()
