"""qmail-qread, qmail-qstat, qmail-tcpto and qmail-tcpok, as who looks after a queue uses them."""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import make_home

if TYPE_CHECKING:
    from tests.support.commands import Commands

pytestmark = pytest.mark.process

NUMBER = 42


@pytest.fixture(autouse=True)
def queue(commands: Commands) -> str:
    """Give a queue with the message 42, which has reached one of its two recipients."""
    queue = f"{make_home(str(commands.top))}/queue"
    for kind, text in (
        ("info", b"Fsue@x.example\0"),
        ("local", b"Djoe@x.example\0"),
        ("remote", b"Tann@y.example\0"),
        ("mess", b"To: joe\n\nhi\n"),
    ):
        with open(f"{queue}/{kind}/{NUMBER % 23}/{NUMBER}", "wb") as file:
            file.write(text)
    os.utime(f"{queue}/info/{NUMBER % 23}/{NUMBER}", (10**9, 10**9))
    return queue


@pytest.mark.parametrize(
    ("name", "arguments"), [("qmail-qread", []), ("mailq", []), ("sendmail", ["-bp"])]
)
def test_a_message_is_listed_with_those_it_has_reached_and_those_it_has_not(
    commands: Commands, launchers: str, name: str, arguments: list[str]
) -> None:
    os.symlink(launchers, commands.top / "bin")

    done = commands.run(name, *arguments)

    assert done.returncode == 0
    assert done.stdout == (
        b"9 Sep 2001 01:46:40 GMT  #42  12  <sue@x.example> \n"
        b"  done\tlocal\tjoe@x.example\n\tremote\tann@y.example\n"
    )


def test_the_messages_are_counted(commands: Commands, queue: str) -> None:
    with open(f"{queue}/todo/4711", "wb"):
        pass

    done = commands.run("qmail-qstat")

    assert (done.returncode, done.stdout) == (
        0,
        b"messages in queue: 1\nmessages in queue but not yet preprocessed: 1\n",
    )


def test_hosts_that_did_not_answer_are_shown_until_they_are_forgotten(
    commands: Commands, queue: str
) -> None:
    with open(f"{queue}/lock/tcpto", "r+b") as file:
        file.write(b"\xc0\0\2\1" + struct.pack("<B3xI4x", 2, int(time.time()) - 100))

    shown = commands.run("qmail-tcpto")
    forgotten = commands.run("qmail-tcpok")
    after = commands.run("qmail-tcpto")

    assert shown.stdout.startswith(b"192.0.2.1 timed out 10")
    assert shown.stdout.endswith(b" seconds ago; # recent timeouts: 2\n")
    assert (forgotten.returncode, forgotten.stdout, after.stdout) == (0, b"", b"")


@pytest.mark.parametrize("name", ["qmail-tcpto", "qmail-qread"])
def test_a_home_without_a_queue_is_a_failure_that_is_told(commands: Commands, name: str) -> None:
    done = commands.run(name, environ={"QMAILHOME": "/nonexistent"})

    assert done.returncode == 111
    assert done.stdout.startswith(b"fatal: unable to ")
