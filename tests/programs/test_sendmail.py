from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process

MESSAGE = b"Date: d\nMessage-ID: <m>\nTo: ann@example.net\n\n.\nHello.\n"
JOE: dict[str, str | None] = {"USER": "joe", "QMAILHOST": "example.org"}
USAGE = b"sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("mail.example.org\n")


def stand_in(tmp_path: Path, name: str) -> None:
    """Put a program into the home that shows its name, arguments and variables."""
    path = tmp_path / "bin" / name
    path.write_text('#!/bin/sh\necho "$0 $*"; env | grep -E "RELAY|^TCP|MAIL(USER|NAME)=" | sort\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("arguments", "envelope"),
    [
        (["bob"], b"Fjoe@example.org\0Tbob@mail.example.org\0\0"),
        (["-t"], b"Fjoe@example.org\0Tann@example.net\0\0"),
        (["-ti", "bob"], b"Fjoe@example.org\0Tbob@mail.example.org\0Tann@example.net\0\0"),
        (["-f", "sue@x.net", "bob"], b"Fsue@x.net\0Tbob@mail.example.org\0\0"),
        (["-rsue@x.net", "--", "-b"], b"Fsue@x.net\0T-b@mail.example.org\0\0"),
        (["-f", "<>", "bob"], b"F\0Tbob@mail.example.org\0\0"),
        (["-f", "", "bob"], b"F\0Tbob@mail.example.org\0\0"),
        ([], b"Fjoe@example.org\0\0"),
    ],
)
def test_a_message_is_queued_from_and_to_whom_the_options_say(
    commands: Commands, arguments: list[str], envelope: bytes
) -> None:
    done = commands.run("sendmail", *arguments, message=MESSAGE, environ=JOE)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert [queued[1] for queued in commands.queued()] == [envelope]


@pytest.mark.parametrize(
    "option",
    [
        *("-i", "-oi", "-oem", "-odb", "-v", "-m", "-x", "-em", "-bm", "-B8BITMIME", "-pSMTP:x"),
        *("-q", "-q15m", "-Nnever", "-Rhdrs", "-Vid", "-OTimeout=1", "-U", "-G", "-Ac", "-L tag"),
        *("-Xlog", "-Cfile", "-E", "-Jx"),
    ],
)
def test_options_about_what_qmail_does_in_one_way_are_taken_silently(
    commands: Commands, option: str
) -> None:
    done = commands.run("sendmail", option, "bob", message=MESSAGE, environ=JOE)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert len(commands.queued()) == 1


@pytest.mark.parametrize("arguments", [["-bd", "-q15m"], ["-q"], ["-v", "-q1h"], ["-bv", "bob"]])
def test_no_message_is_read_where_none_is_meant(commands: Commands, arguments: list[str]) -> None:
    done = commands.run("sendmail", *arguments, message=MESSAGE, environ=JOE)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert commands.queued() == []


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("-z", b"sendmail: illegal option -- z\n" + USAGE),
        ("-f", b"sendmail: option requires an argument -- f\n" + USAGE),
        ("-bz", USAGE),
    ],
)
def test_an_unknown_option_is_an_error(commands: Commands, option: str, text: bytes) -> None:
    done = commands.run("sendmail", option)

    assert (done.returncode, done.stderr) == (100, text)


@pytest.mark.parametrize(
    ("name", "arguments"), [("newaliases", []), ("newaliases", ["-v"]), ("sendmail", ["-bi"])]
)
def test_aliases_are_the_business_of_fastforward(
    commands: Commands, name: str, arguments: list[str]
) -> None:
    done = commands.run(name, *arguments)

    text = b"sendmail: fatal: please use fastforward/newaliases instead\n"
    assert (done.returncode, done.stderr) == (100, text)


def test_the_name_of_the_author_can_be_given(commands: Commands) -> None:
    commands.run("sendmail", "-F", "Joe Q", "bob", message=MESSAGE, environ=JOE)

    ((message, _),) = commands.queued()
    assert message == b'From: "Joe Q" <joe@example.org>\n' + MESSAGE


def test_the_option_f_sets_the_author_and_drops_his_name(commands: Commands) -> None:
    arguments = ["-FJoe", "-fsue@x.net", "bob"]
    commands.run("sendmail", *arguments, message=MESSAGE, environ={**JOE, "NAME": "N"})

    ((message, _),) = commands.queued()
    assert message == b"From: sue@x.net\n" + MESSAGE


def test_an_author_without_a_host_gets_the_default(commands: Commands) -> None:
    commands.run("sendmail", "-fsue", "bob", message=MESSAGE, environ=JOE)

    ((message, _),) = commands.queued()
    assert message == b"From: sue@mail.example.org\n" + MESSAGE


@pytest.mark.parametrize(("name", "arguments"), [("mailq", []), ("sendmail", ["-bp", "-z"])])
def test_the_queue_is_shown_by_qmail_qread(
    commands: Commands, tmp_path: Path, name: str, arguments: list[str]
) -> None:
    stand_in(tmp_path, "qmail-qread")

    done = commands.run(name, *arguments)

    assert done.stdout.splitlines()[0] == b"bin/qmail-qread "


def test_a_session_is_held_by_qmail_smtpd_for_a_client_that_may_relay(
    commands: Commands, tmp_path: Path
) -> None:
    stand_in(tmp_path, "qmail-smtpd")

    done = commands.run("sendmail", "-bs")

    assert done.stdout.splitlines() == [
        b"bin/qmail-smtpd ",
        b"RELAYCLIENT=",
        b"TCPLOCALHOST=localhost",
        b"TCPLOCALIP=127.0.0.1",
        b"TCPREMOTEHOST=localhost",
        b"TCPREMOTEINFO=sendmail-bs",
        b"TCPREMOTEIP=127.0.0.1",
    ]


def test_a_session_that_has_its_variables_keeps_them(commands: Commands, tmp_path: Path) -> None:
    stand_in(tmp_path, "qmail-smtpd")

    done = commands.run("sendmail", "-bs", environ={"PROTO": "TCP", "TCPREMOTEIP": "10.0.0.1"})

    assert b"RELAYCLIENT" not in done.stdout
    assert b"TCPREMOTEIP=10.0.0.1" in done.stdout


@pytest.mark.parametrize(("option", "name"), [("-bs", b"qmail-smtpd"), ("-bp", b"qmail-qread")])
def test_a_program_that_is_missing_is_named(commands: Commands, option: str, name: bytes) -> None:
    done = commands.run("sendmail", option)

    assert (done.returncode, done.stderr) == (
        111,
        b"sendmail: fatal: unable to run " + name + b"\n",
    )


def test_a_home_that_is_missing_is_transient(commands: Commands) -> None:
    done = commands.run("sendmail", "bob", environ={"QMAILHOME": "/nonexistent"})

    text = b"sendmail: fatal: unable to switch to qmail home directory\n"
    assert (done.returncode, done.stderr) == (111, text)


def test_another_program_in_place_of_qmail_inject_is_executed(
    commands: Commands, tmp_path: Path
) -> None:
    stand_in(tmp_path, "qmail-inject")

    done = commands.run("sendmail", "-t", "-FName", "-f", "a@b.c", "bob", environ=JOE)

    assert done.stdout == b"bin/qmail-inject -H -f a@b.c -- bob\nQMAILUSER=a\n"


def test_complaints_about_the_message_are_those_of_qmail_inject(commands: Commands) -> None:
    done = commands.run("sendmail", "-t", message=b"From: (a\n", environ=JOE)

    text = b"qmail-inject: fatal: unable to parse this line:\nFrom: (a\n"
    assert (done.returncode, done.stderr) == (100, text)
    assert os.listdir(commands.top / "queued") == []
