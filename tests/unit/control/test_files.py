from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.control.files import (
    ControlError,
    read_integer,
    read_line,
    read_line_or_me,
    read_list,
    read_list_or_me,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> str:
    (tmp_path / "control").mkdir()
    return str(tmp_path)


def write(home: str, name: str, text: bytes) -> None:
    with open(os.path.join(home, "control", name), "wb") as file:
        file.write(text)


def test_a_missing_file_is_not_set(home: str) -> None:
    assert read_line(home, "me") is None
    assert read_list(home, "locals") is None
    assert read_integer(home, "databytes", 7) == 7


def test_an_empty_list_is_not_the_default(home: str) -> None:
    write(home, "me", b"mail.example.org\n")
    write(home, "locals", b"")

    assert read_list_or_me(home, "locals") == []


def test_an_absent_list_is_this_host(home: str) -> None:
    write(home, "me", b"mail.example.org\n")

    assert read_list_or_me(home, "locals") == [b"mail.example.org"]
    assert read_line_or_me(home, "bouncehost") == b"mail.example.org"


def test_carriage_returns_do_not_keep_a_domain_from_matching(home: str) -> None:
    write(home, "locals", b"example.org\r\n# comment\r\n\r\nexample.net \t\r\n")

    assert read_list(home, "locals") == [b"example.org", b"example.net"]


@pytest.mark.parametrize(
    "text", [b"12abc\n", b"-3\n", b"1_000\n", "\u0663\n".encode(), b"9" * 5000]
)
def test_what_is_no_number_is_named_with_file_and_line(home: str, text: bytes) -> None:
    write(home, "queuelifetime", text)

    with pytest.raises(ControlError, match="control/queuelifetime line 1: ") as caught:
        read_integer(home, "queuelifetime", 1)

    assert caught.value.exit_code == 111


def test_what_cannot_be_read_is_an_error_and_not_the_default(home: str) -> None:
    os.mkdir(os.path.join(home, "control", "me"))

    with pytest.raises(ControlError, match="control/me: unable to read"):
        read_line(home, "me")
