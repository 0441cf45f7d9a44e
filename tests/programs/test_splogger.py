"""splogger, with a syslog that the test reads."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import syslog

import pytest
from tests.support.accounts import locked

from pyqmail.programs.splogger import facility_of

pytestmark = pytest.mark.process

# Runs splogger with functions in the place of syslog's that print what they get.
DRIVER = """
import syslog, sys, os
syslog.openlog = lambda *given: print("open", *given)
syslog.syslog = lambda priority, text: print(priority, text)
from pyqmail.programs import splogger
sys.exit(splogger.log([os.fsencode(word) for word in sys.argv[1:]], {}))
"""

STAMP = re.compile(r"\d{10,}\.\d{6}(?=[ +])")


def entries(text: bytes, *arguments: str) -> list[str]:
    """Return what syslog got, times replaced; the first line is how it was opened."""
    ended = subprocess.run(
        [sys.executable, "-c", DRIVER, *arguments],
        input=text,
        capture_output=True,
        timeout=30,
        check=True,
    )
    return STAMP.sub("TIME", ended.stdout.decode("ascii")).splitlines()


def test_a_line_is_an_entry_with_the_time_before_it() -> None:
    assert entries(b"new msg 53\nend msg 53\n")[1:] == [
        f"{syslog.LOG_INFO} TIME new msg 53",
        f"{syslog.LOG_INFO} TIME end msg 53",
    ]


def test_alert_and_warning_have_their_priorities() -> None:
    lines = b"alert: a\nwarning: b\n alert: c\nalertness\n"

    assert [int(entry.split()[0]) for entry in entries(lines)[1:]] == [
        syslog.LOG_ALERT,
        syslog.LOG_WARNING,
        syslog.LOG_INFO,
        syslog.LOG_INFO,
    ]


@pytest.mark.parametrize(
    ("arguments", "opened"),
    [
        ([], f"open splogger 0 {syslog.LOG_MAIL}"),
        (["qmail"], f"open qmail 0 {syslog.LOG_MAIL}"),
        (["qmail", "16"], f"open qmail 0 {syslog.LOG_LOCAL0}"),
        (["qmail", "mail"], f"open qmail 0 {syslog.LOG_MAIL}"),
    ],
)
def test_tag_and_facility_are_arguments(arguments: list[str], opened: str) -> None:
    assert entries(b"", *arguments) == [opened]


@pytest.mark.parametrize(
    ("argument", "facility"),
    [(b"0", 0), (b"23", 23), (b"24", 2), (b"", 2), (b"-1", 2), (b"9" * 5000, 2), (b"1_6", 2)],
)
def test_a_facility_that_syslog_does_not_have_is_mail(argument: bytes, facility: int) -> None:
    assert facility_of(argument) == facility


def test_what_cannot_be_printed_is_a_question_mark_and_empty_lines_are_none() -> None:
    assert entries(b"\n\na\tb\0c\x7f\xff%s\n\n")[1:] == [f"{syslog.LOG_INFO} TIME a?b?c??%s"]


@pytest.mark.parametrize("length", [798, 799, 800, 1598, 1599, 200_000])
def test_a_long_line_goes_on_in_entries_of_the_same_time_and_priority(length: int) -> None:
    line = b"warning: " + b"x" * (length - 9)

    first, *others = entries(line + b"\nnext\n")[1:-1]

    assert first == f"{syslog.LOG_WARNING} TIME {line[:799].decode()}"
    starts = range(799, length, 799)
    assert others == [f"{syslog.LOG_WARNING} TIME+{'x' * min(799, length - at)}" for at in starts]


def test_a_last_line_without_its_end_is_lost() -> None:
    assert entries(b"one\ntwo")[1:] == [f"{syslog.LOG_INFO} TIME one"]


@pytest.mark.root
@pytest.mark.skipif(
    os.getuid() != 0 or os.path.lexists("/dev/log"),
    reason="needs root and a machine without a syslog, to be the syslog",
)
def test_syslog_hears_it(launchers: str) -> None:
    with locked("log"), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind("/dev/log")
        try:
            log.settimeout(30)
            subprocess.run([f"{launchers}/splogger", "qmail"], input=b"alert: x\n", check=True)
            heard = log.recv(4096)
        finally:
            os.unlink("/dev/log")

    assert re.fullmatch(rb"<17>.* qmail: \d+\.\d{6} alert: x\0?", heard)
