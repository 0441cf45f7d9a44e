from __future__ import annotations

import pytest

from pyqmail.protocol.ident import encode_query, parse_reply


def test_the_ports_are_those_of_the_connection_as_the_other_host_sees_it() -> None:
    assert encode_query(4567, 25) == b"4567 , 25\r\n"


@pytest.mark.parametrize(
    ("reply", "user"),
    [
        (b"4567 , 25 : USERID : UNIX : joe\r\n", b"joe"),
        (b"4567,25:USERID:OTHER:a:b c\td\r\n", b"a:bcd"),
        (b"4567 , 25 : ERROR : NO-USER\r\n", b""),
        (b"rubbish\r\n", b""),
        (b"", b""),
        (b"1,2:USERID:UNIX:" + b"j" * 300 + b"\r\n", b"j" * 257),
        (b"1,2:USERID:UNIX:joe\r\nmore:::x\r\n", b"joe"),
    ],
)
def test_the_user_is_what_stands_after_the_third_colon(reply: bytes, user: bytes) -> None:
    assert parse_reply(reply) == user
