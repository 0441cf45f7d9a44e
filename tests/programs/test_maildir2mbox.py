from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyqmail.mailbox.summary import summary_of

if TYPE_CHECKING:
    from tests.support.commands import Commands

pytestmark = pytest.mark.process


@pytest.fixture
def variables(commands: Commands) -> dict[str, str | None]:
    commands.run("maildirmake", "Maildir")
    return {name: f"{commands.top}/{file}" for name, file in FILES.items()}


FILES = {"MAILDIR": "Maildir", "MAIL": "Mailbox", "MAILTMP": "Mailbox.tmp"}


def test_new_mail_moves_to_the_end_of_the_mbox(
    commands: Commands, variables: dict[str, str | None]
) -> None:
    message = commands.top / "Maildir/new/a"
    message.write_bytes(b"Return-Path: <s@x>\n\nFrom y\n")
    os.utime(message, (10**9, 10**9))

    done = commands.run("maildir2mbox", environ=variables)

    assert (done.returncode, done.stderr) == (0, b"")
    assert (commands.top / "Mailbox").read_bytes() == (
        b"From s@x Sun Sep 09 01:46:40 2001\nReturn-Path: <s@x>\n\n>From y\n\n"
    )
    assert not message.exists()


def test_without_new_mail_nothing_is_touched(
    commands: Commands, variables: dict[str, str | None]
) -> None:
    assert commands.run("maildir2mbox", environ=variables).returncode == 0
    assert not (commands.top / "Mailbox").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_variable_is_named(
    commands: Commands, variables: dict[str, str | None], name: str
) -> None:
    done = commands.run("maildir2mbox", environ={**variables, name: None})

    text = f"maildir2mbox: fatal: {name} not set\n".encode()
    assert (done.returncode, done.stderr) == (111, text)


@pytest.mark.parametrize(
    ("name", "reader"), [("elq", "elm"), ("pinq", "pine"), ("pineq", "pine"), ("qail", "Mail")]
)
def test_a_reader_is_started_when_the_mail_is_there(
    commands: Commands, variables: dict[str, str | None], name: str, reader: str
) -> None:
    program = commands.top / reader
    program.write_text("#!/bin/sh\necho reader $1\n")
    program.chmod(0o755)
    path = f"{commands.top}:{os.defpath}"

    done = commands.run(name, "-x", environ={**variables, "PATH": path})

    assert (done.returncode, done.stdout) == (0, b"reader -x\n")


def test_no_reader_is_started_when_the_mail_cannot_be_moved(commands: Commands) -> None:
    done = commands.run("elq")

    assert (done.returncode, done.stderr) == (111, b"elq: fatal: MAIL not set\n")


def test_a_message_is_shown_without_what_controls_a_terminal() -> None:
    text = summary_of(b"Return-Path: <s@x>\nDelivered-To: a\33@y\nSubject: hi\n\nbody\33[2J\n")

    assert text == b"\33[1mFROM s@x TO <a?@y>\33[0m\nhi//body/[2J/\n\n"


def test_new_mail_is_watched_until_the_watcher_is_killed(
    commands: Commands, launchers: str, variables: dict[str, str | None]
) -> None:
    message = commands.top / "Maildir/new/a"
    message.write_bytes(b"Return-Path: <s@x>\nDelivered-To: a@y\n\nbody\n")
    os.utime(message, (10**9, 10**9))

    with subprocess.Popen(
        [f"{launchers}/maildirwatch"],
        env={"MAILDIR": str(variables["MAILDIR"])},
        stdout=subprocess.PIPE,
    ) as watcher:
        assert watcher.stdout is not None
        shown = watcher.stdout.read1()
        watcher.kill()

    assert shown == b"\33[;H\33[;J\33[1mFROM s@x TO <a@y>\33[0m\n/body/\n\n"
