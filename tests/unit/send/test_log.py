from __future__ import annotations

import os

import pytest

from pyqmail.send import log

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
PAGE = os.path.join(ROOT, "docs/man/qmail-log.5.md")


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
        (
            log.warning(log.BOUNCE_NOT_QUEUED),
            b"warning: trouble injecting bounce message, will try later",
        ),
        (
            log.warning(log.QUEUE_NOT_STARTED),
            b"warning: unable to start qmail-queue, will try later",
        ),
        (log.REPORT_OUT_OF_RANGE, b"warning: internal error: delivery report out of range"),
        (log.unreadable(b"unable to stat todo/5"), b"warning: unable to stat todo/5"),
        (log.unreadable(b"unable to opendir todo"), b"alert: unable to opendir todo, sleeping..."),
        (
            log.set_aside(53, b"trouble reading todo/53"),
            b"alert: msg 53 set aside, a file of it is damaged: trouble reading todo/53",
        ),
        (log.EXITING, b"status: exiting"),
        (log.NO_HOME, b"alert: cannot start: unable to switch to home directory"),
        (log.NO_CONTROLS, b"alert: cannot start: unable to read controls"),
        (log.NO_QUEUE, b"alert: cannot start: unable to switch to queue directory"),
        (log.NO_MUTEX, b"alert: cannot start: unable to open mutex"),
        (log.RUNNING_ALREADY, b"alert: cannot start: qmail-send is already running"),
        (log.NO_SPAWNER, b"alert: cannot start: hath the daemon spawn no fire?"),
        (log.CLEANER_LOST, b"alert: oh no! lost qmail-clean connection! dying..."),
        (log.SPAWNER_LOST, b"alert: oh no! lost spawn connection! dying..."),
        (
            log.REREAD_NO_HOME,
            b"alert: unable to reread controls: unable to switch to home directory",
        ),
        (log.REREAD_LOCALS, b"alert: unable to reread control/locals"),
        (log.REREAD_VIRTUALDOMAINS, b"alert: unable to reread control/virtualdomains"),
        (
            log.NOTE_NOT_WRITTEN,
            b"alert: unable to append to bounce message; HELP! sleeping...",
        ),
    ],
)
def test_every_line_reads_as_the_original_writes_it(line: bytes, text: bytes) -> None:
    assert line == text


def test_the_manual_has_every_line_that_never_changes() -> None:
    constants = [
        value for name, value in vars(log).items() if name[0].isupper() and type(value) is bytes
    ]
    with open(PAGE, "rb") as file:
        page = b" ".join(file.read().split())

    # Those that belong together share a beginning there.
    texts = [line.removeprefix(b"alert: cannot start: ") for line in constants]

    assert len(texts) > 10
    assert [text for text in texts if text not in page] == []


@pytest.mark.parametrize(
    ("exiting", "line"),
    [
        (False, b"status: local 1/10 remote 0/20"),
        (True, b"status: local 1/10 remote 0/20 exitasap"),
    ],
)
def test_the_status_names_both_channels(*, exiting: bool, line: bytes) -> None:
    assert log.status([(b"local", 1, 10), (b"remote", 0, 20)], exiting=exiting) == line
