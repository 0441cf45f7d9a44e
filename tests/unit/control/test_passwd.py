from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.control import passwd
from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.control.passwd import AssignmentWriter, Choices
from pyqmail.errors import TransientFailure

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def choices() -> Choices:
    """Give choices under which no home directory is looked at."""
    choices = Choices()
    choices.homes = passwd.HOMES_UNSEEN
    return choices


def line(user: str, uid: object = 503, home: object = "/home/joe") -> bytes:
    return f"{user}:x:{uid}:78:Joe:{home}:/bin/sh".encode()


def test_a_user_gets_a_line_for_his_name_and_one_for_his_extensions(choices: Choices) -> None:
    assert AssignmentWriter(choices).account(line("joe")) == (
        b"=joe:joe:503:78:/home/joe:::\n+joe-:joe:503:78:/home/joe:-::\n"
    )


def test_alias_gets_everybody_elses_mail_too(choices: Choices) -> None:
    writer = AssignmentWriter(choices)

    text = writer.account(line("alias"))

    assert text.startswith(b"+:alias:503:78:/home/joe:-::\n=alias:")
    assert writer.found_alias
    assert not AssignmentWriter(choices).found_alias


@pytest.mark.parametrize(
    "text",
    [
        line("root", 0),
        line("null", ""),
        line("Joe"),
        b"joe:x:503:78:Joe:/home/joe",
        b"jo\0e:x:503:78:Joe:/home/joe:/bin/sh",
        b"",
    ],
)
def test_an_account_that_gets_no_mail_gets_no_line(choices: Choices, text: bytes) -> None:
    assert AssignmentWriter(choices).account(text) == b""


def test_capitals_are_taken_if_that_is_said(choices: Choices) -> None:
    choices.upper_case = True

    assert AssignmentWriter(choices).account(line("Joe")).startswith(b"=Joe:Joe:")


def test_another_break_character_and_none(choices: Choices) -> None:
    choices.break_character = b"+"
    assert b"\n+joe+:joe:503:78:/home/joe:-::\n" in AssignmentWriter(choices).account(line("joe"))

    choices.break_character = b""
    assert AssignmentWriter(choices).account(line("joe")) == b"=joe:joe:503:78:/home/joe:::\n"


def test_extensions_in_a_folder(choices: Choices) -> None:
    choices.dash = b"-/"

    assert AssignmentWriter(choices).account(line("joe")).endswith(b":/home/joe:-/::\n")


def test_include_and_exclude_choose_users(choices: Choices) -> None:
    choices.included = ConstantMap([b"joe", b"ann"])
    choices.excluded = ConstantMap([b"ann"])
    writer = AssignmentWriter(choices)

    assert writer.account(line("joe"))
    assert not writer.account(line("ann"))
    assert not writer.account(line("bob"))


def test_mail_names_take_the_place_of_the_users_name(choices: Choices) -> None:
    choices.mail_names = ColonMap([b"joe:joe.shmoe::shmoe:", b"nameless:"])
    writer = AssignmentWriter(choices)

    text = writer.account(line("joe"))

    assert [entry.partition(b":")[0] for entry in text.splitlines()] == [
        b"=joe.shmoe",
        b"+joe.shmoe-",
        b"=shmoe",
        b"+shmoe-",
    ]
    assert writer.account(line("nameless")) == b""


def test_a_subuser_is_a_part_of_a_user(choices: Choices) -> None:
    writer = AssignmentWriter(choices)
    writer.account(line("joe"))

    assert writer.subuser(b"fan:joe:fanclub:") == (
        b"=fan:joe:503:78:/home/joe:-:fanclub:\n+fan-:joe:503:78:/home/joe:-:fanclub-:\n"
    )
    assert writer.subuser(b"fan:joe:two colons") == b""


def test_a_subuser_of_nobody_is_an_error(choices: Choices) -> None:
    writer = AssignmentWriter(choices)

    with pytest.raises(TransientFailure, match="unable to find ann user for subuser"):
        writer.subuser(b"fan:ann:fanclub:")


def test_a_home_must_be_there_and_the_users_own(tmp_path: Path) -> None:
    choices = Choices()
    uid = tmp_path.stat().st_uid or 1
    if tmp_path.stat().st_uid == 0:
        os.chown(tmp_path, uid, -1)
    writer = AssignmentWriter(choices)

    assert writer.account(line("joe", uid, tmp_path))
    assert not writer.account(line("ann", uid + 1, tmp_path))
    assert not writer.account(line("bob", uid, tmp_path / "gone"))


def test_a_missing_home_ends_it_if_that_is_said(tmp_path: Path) -> None:
    choices = Choices()
    choices.homes = passwd.STOP_AT_MISSING

    with pytest.raises(TransientFailure, match=f"unable to stat {tmp_path}/gone"):
        AssignmentWriter(choices).account(line("joe", 503, tmp_path / "gone"))


def test_trouble_with_a_home_is_never_a_missing_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(TransientFailure, match="unable to stat"):
        AssignmentWriter(Choices()).account(line("joe", 503, tmp_path / "file" / "home"))
