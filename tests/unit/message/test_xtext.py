from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyqmail.message.xtext import XtextError, decode_xtext, encode_xtext


@given(data=st.binary(max_size=100))
def test_any_bytes_go_and_come_back(data: bytes) -> None:
    assert decode_xtext(encode_xtext(data)) == data


def test_plain_text_stays_as_it_is() -> None:
    assert encode_xtext(b"joe@example.org") == b"joe@example.org"
    assert encode_xtext(b"a+b=c d") == b"a+2Bb+3Dc+20d"


@pytest.mark.parametrize("text", [b"a b", b"a=b", b"+", b"+2", b"+2b", b"+GG", b"\xff", b"a\0"])
def test_what_is_not_xtext_is_refused(text: bytes) -> None:
    with pytest.raises(XtextError):
        decode_xtext(text)
