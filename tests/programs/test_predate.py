from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process

MESSAGE = b"To: ann@example.net\n\nHello.\n"
JOE: dict[str, str | None] = {"USER": "joe", "QMAILHOST": "example.org"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("mail.example.org\n")


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        ("UTC", b"+0000"),
        ("EST5", b"-0500"),
        ("IST-5:30", b"+0530"),
        ("XXX12:45", b"-1245"),
    ],
)
def test_predate_puts_a_date_in_local_time_first(
    commands: Commands, zone: str, offset: bytes
) -> None:
    done = commands.run("predate", "cat", message=MESSAGE, environ={"TZ": zone})

    date, _, rest = done.stdout.partition(b"\n")
    assert date.startswith(b"Date: ")
    assert date.endswith(b" " + offset)
    assert rest == MESSAGE


def test_predate_ends_as_its_child_ends(commands: Commands) -> None:
    assert commands.run("predate", "sh", "-c", "cat >/dev/null; exit 7").returncode == 7


def test_a_child_that_reads_nothing_is_no_error(commands: Commands) -> None:
    done = commands.run("predate", "true", message=b"x" * 1_000_000)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ([], 100, b"predate: usage: predate child\n"),
        (
            ["/nonexistent"],
            111,
            b"predate: fatal: unable to run /nonexistent: file does not exist\n",
        ),
        (["sh", "-c", "kill -9 $$"], 111, b"predate: fatal: child crashed\n"),
    ],
)
def test_predate_says_what_is_wrong_with_its_child(
    commands: Commands, command: list[str], code: int, text: bytes
) -> None:
    done = commands.run("predate", *command)

    assert (done.returncode, done.stderr) == (code, text)


def test_half_a_message_is_not_given_to_the_child_as_a_whole_one(
    launchers: str, tmp_path: Path
) -> None:
    script = f"{launchers}/predate sh -c 'cat >/dev/null; : >{tmp_path}/whole' <&-"

    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, timeout=30, check=False)

    text = b"predate: fatal: unable to copy input: file descriptor not open\n"
    assert (done.returncode, done.stderr) == (111, text)
    assert not (tmp_path / "whole").exists()


def test_datemail_sends_with_a_date_in_local_time(commands: Commands) -> None:
    done = commands.run("datemail", "-t", message=MESSAGE, environ={**JOE, "TZ": "IST-5:30"})

    assert (done.returncode, done.stderr) == (0, b"")
    ((message, envelope),) = commands.queued()
    assert b" +0530\n" + MESSAGE in message
    assert message.count(b"Date:") == 1
    assert envelope == b"Fjoe@example.org\0Tann@example.net\0\0"


def test_datemail_gives_the_message_to_whatever_sendmail_is(
    commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "sendmail").write_text('#!/bin/sh\necho "$*"\nexec cat\n')
    (tmp_path / "bin" / "sendmail").chmod(0o755)

    done = commands.run("datemail", "-t", "bob", message=MESSAGE)

    lines = done.stdout.split(b"\n", 2)
    assert lines[0] == b"-t bob"
    assert lines[1].startswith(b"Date: ")
    assert lines[2] == MESSAGE


def test_mailsubj_makes_a_message_of_a_subject_and_a_body(commands: Commands) -> None:
    done = commands.run("mailsubj", "a  \\n b", "bob", "carl", message=b"Hello.", environ=JOE)

    assert (done.returncode, done.stderr) == (0, b"")
    ((message, envelope),) = commands.queued()
    assert message.endswith(
        b"Subject: a  \\n b\nTo: bob@mail.example.org, carl@mail.example.org\n\nHello.\n"
    )
    assert envelope == b"Fjoe@example.org\0Tcarl@mail.example.org\0Tbob@mail.example.org\0\0"


def test_mailsubj_gives_the_message_to_whatever_qmail_inject_is(
    commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "qmail-inject").write_text("#!/bin/sh\nexec cat\n")
    (tmp_path / "bin" / "qmail-inject").chmod(0o755)

    done = commands.run("mailsubj", "s", "bob", message=b"Hello.")

    assert done.stdout == b"Subject: s\nTo: bob\n\nHello."


def test_mailsubj_needs_a_subject(commands: Commands) -> None:
    done = commands.run("mailsubj")

    text = b"mailsubj: usage: mailsubj subject recipient ...\n"
    assert (done.returncode, done.stderr) == (100, text)
