from __future__ import annotations

import pytest

from pyqmail.protocol.smtp.reply import Reply, reply


def test_every_line_but_the_last_says_that_more_follow() -> None:
    assert Reply(250, (b"a", b"b", b"c")).to_wire() == b"250-a\r\n250-b\r\n250 c\r\n"


def test_text_from_elsewhere_cannot_become_a_reply() -> None:
    assert reply(451, b"a\r\n250 ok\0").to_wire() == b"451 a  250 ok \r\n"


@pytest.mark.parametrize(
    ("code", "positive"), [(250, True), (354, True), (451, False), (554, False)]
)
def test_codes_below_400_move_the_session_on(code: int, positive: bool) -> None:  # noqa: FBT001
    assert reply(code, b"x").positive is positive
