from __future__ import annotations

import pytest

from pyqmail.send import log


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"did 1+0+0\n", b"did_1+0+0/"),
        (b"50% \x00\x1f\x7f\x80\xff", b"50_______"),
        (b"a\r\nb", b"a_/b"),
        (b"!~<>", b"!~<>"),
    ],
)
def test_what_strangers_say_stays_one_word(text: bytes, shown: bytes) -> None:
    assert log.safe(text) == shown


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (log.new_message(53), b"new msg 53"),
        (
            log.message_info(53, 246, b"aku@domain.com", 20345, 666),
            b"info msg 53: bytes 246 from <aku@domain.com> qp 20345 uid 666",
        ),
        (log.starting(1, 53, "local", b"a b@c"), b"starting delivery 1: msg 53 to local a_b@c"),
        (log.delivered(1, b"did 1+0+0\n"), b"delivery 1: success: did_1+0+0/"),
        (log.failed(2, b"no\n"), b"delivery 2: failure: no/"),
        (log.deferred(3, b""), b"delivery 3: deferral: "),
        (log.mangled(4), b"delivery 4: report mangled, will defer"),
        (log.bounced(53, 20357), b"bounce msg 53 qp 20357"),
        (log.triple_bounce(53), b"triple bounce: discarding bounce/53"),
        (log.end(53), b"end msg 53"),
        (
            log.will_try_again(b"unable to stat mess/7/53"),
            b"warning: unable to stat mess/7/53; will try again later",
        ),
    ],
)
def test_every_line_reads_as_the_original_writes_it(line: bytes, text: bytes) -> None:
    assert line == text


@pytest.mark.parametrize(
    ("exiting", "line"),
    [
        (False, b"status: local 1/10 remote 0/20"),
        (True, b"status: local 1/10 remote 0/20 exitasap"),
    ],
)
def test_the_status_names_both_channels(*, exiting: bool, line: bytes) -> None:
    assert log.status([(b"local", 1, 10), (b"remote", 0, 20)], exiting=exiting) == line
