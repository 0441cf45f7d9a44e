from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.support.commands import Commands

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

COMPLETE = b"Date: d\nMessage-ID: <m>\nFrom: f@example.net\nTo: ann@example.net\n"
MESSAGE = COMPLETE + b"\nHello.\n"
JOE: dict[str, str | None] = {"USER": "joe", "QMAILHOST": "example.org"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("mail.example.org\n")


def test_a_message_is_queued_for_the_recipients_in_its_header(commands: Commands) -> None:
    done = commands.run("qmail-inject", message=MESSAGE, environ=JOE)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert commands.queued() == [(MESSAGE, b"Fjoe@example.org\0Tann@example.net\0\0")]


@pytest.mark.parametrize(
    ("arguments", "recipients"),
    [
        (["bob"], b"Tbob@mail.example.org\0"),
        (["-A", "bob"], b"Tbob@mail.example.org\0"),
        (["-a"], b""),
        (["-h", "bob"], b"Tann@example.net\0"),
        (["-H", "bob"], b"Tbob@mail.example.org\0Tann@example.net\0"),
        (["-aH", "--", "-bob"], b"T-bob@mail.example.org\0Tann@example.net\0"),
    ],
)
def test_options_say_whose_recipients_count(
    commands: Commands, arguments: list[str], recipients: bytes
) -> None:
    commands.run("qmail-inject", *arguments, message=MESSAGE, environ=JOE)

    ((_, envelope),) = commands.queued()
    assert envelope == b"Fjoe@example.org\0" + recipients + b"\0"


def test_the_option_n_prints_the_message_and_its_return_path(commands: Commands) -> None:
    done = commands.run("qmail-inject", "-nf", "a b@example.net", message=MESSAGE, environ=JOE)

    assert (done.returncode, done.stdout) == (0, b'Return-Path: <"a b"@example.net>\n' + MESSAGE)
    assert commands.queued() == []


@pytest.mark.parametrize("end", [b"", b"\nx", b"\nx\r"])
def test_an_unfinished_last_line_is_finished(commands: Commands, end: bytes) -> None:
    done = commands.run("qmail-inject", "-n", "-f", "", message=COMPLETE + end, environ=JOE)

    assert done.stdout == b"Return-Path: <>\n" + COMPLETE + (end + b"\n" if end else b"")


@pytest.mark.parametrize(
    ("arguments", "message", "text"),
    [
        (["-x"], MESSAGE, b"qmail-inject: illegal option -- x\n"),
        (["-f"], MESSAGE, b"qmail-inject: option requires an argument -- f\n"),
        (
            ["-f", "a@[1"],
            MESSAGE,
            b"qmail-inject: fatal: unable to parse this line:\na@[1",
        ),
        (["a@[1"], MESSAGE, b"qmail-inject: fatal: unable to parse address: a@[1\n"),
        (
            [],
            b"To: a\nFrom: (x\nX: y\n",
            b"qmail-inject: fatal: unable to parse this line:\nFrom: (x\n",
        ),
    ],
)
def test_what_is_malformed_is_refused_before_anything_is_queued(
    commands: Commands, arguments: list[str], message: bytes, text: bytes
) -> None:
    done = commands.run("qmail-inject", *arguments, message=message, environ=JOE)

    assert (done.returncode, done.stderr) == (100, text)
    assert commands.queued() == []


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"QMAILHOME": "/nonexistent"}, b"internal bug"),
        ({"QMAILMFTFILE": "."}, b"read error"),
        ({"QMAILQUEUE": "/nonexistent"}, b"unable to exec qq (#4.3.0)"),
    ],
)
def test_what_may_be_repaired_is_transient(
    commands: Commands, environ: dict[str, str | None], text: bytes
) -> None:
    done = commands.run("qmail-inject", message=MESSAGE, environ=environ)

    assert (done.returncode, done.stderr) == (111, b"qmail-inject: fatal: " + text + b"\n")


@pytest.mark.parametrize(
    ("ending", "code", "text"),
    [
        ("exit 31", 100, b"mail server permanently rejected message (#5.3.0)"),
        ("exit 53", 111, b"qq write error or disk full (#4.3.0)"),
        ("printf 'Dno (#5.7.1)' >&6; exit 82", 100, b"no (#5.7.1)"),
    ],
)
def test_a_refusal_of_the_queue_is_passed_on(
    launchers: str, tmp_path: Path, ending: str, code: int, text: bytes
) -> None:
    done = Commands(launchers, tmp_path, ending).run("qmail-inject", message=MESSAGE, environ=JOE)

    assert (done.returncode, done.stderr) == (code, b"qmail-inject: fatal: " + text + b"\n")


def test_a_file_of_mailing_lists_is_named_relative_to_the_caller(
    commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "lists").write_text("# lists\nANN@example.net \n")

    done = commands.run(
        "qmail-inject", "-n", message=MESSAGE, environ={**JOE, "QMAILMFTFILE": "lists"}
    )

    assert b"\nMail-Followup-To: ann@example.net\n" in done.stdout


def test_a_closed_standard_input_is_a_read_error(launchers: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{launchers}/qmail-inject -n <&-"],
        env={"QMAILHOME": os.fspath(tmp_path)},
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (111, b"qmail-inject: fatal: read error\n")


def test_a_reader_that_has_seen_enough_is_no_error(launchers: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"(yes | {launchers}/qmail-inject -n; echo $? >&2) | head -c 1"],
        env={"QMAILHOME": os.fspath(tmp_path), "PATH": os.defpath},
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert (done.stdout, done.stderr.splitlines()[0]) == (b"R", b"0")


LARGE = {
    "10 MB of fields": (b"X-Field: yyyyyyyyyyyyyyy\n" * 400_000, 0),
    "100,000 addresses": (
        b"Cc: " + b", ".join([b"User <u@example.net>"] * 100_000) + b"\n",
        100_000,
    ),
    "comments nested 10,000 deep": (b"Cc: " + b"(" * 10_000 + b")" * 10_000 + b" u\n", 1),
}


@pytest.mark.parametrize("name", LARGE)
def test_no_header_is_too_large(commands: Commands, name: str) -> None:
    field, recipients = LARGE[name]

    done = commands.run("qmail-inject", message=field + MESSAGE, environ=JOE)

    assert (done.returncode, done.stderr) == (0, b"")
    ((message, envelope),) = commands.queued()
    assert message.endswith(MESSAGE)
    assert envelope.count(b"\0T") == recipients + 1
