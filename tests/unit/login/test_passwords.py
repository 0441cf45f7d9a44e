from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.logins import scram_keys

from pyqmail.control.files import ControlError
from pyqmail.errors import PermanentFailure
from pyqmail.login.passwords import (
    Entry,
    ScramKeys,
    entries,
    find_entry,
    parse_entry,
    remove_entry,
    set_entry,
)
from pyqmail.login.scram import make_keys

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ScramKeys(b"salt", b"s" * 32, b"v" * 32, 4096)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "users").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "entry",
    [
        Entry(b"joe"),
        Entry(b"joe", hashed=b"$6$salt$hash"),
        Entry(b"joe@example.com", b"$argon2id$v=19$m=8,t=1,p=1$a$b", KEYS, b"pass:word: {PLAIN}"),
        Entry(b"joe", scram=KEYS),
        Entry(b"joe", secret=b""),
    ],
)
def test_an_entry_is_one_line(entry: Entry) -> None:
    assert parse_entry(entry.encode()) == entry


@pytest.mark.parametrize(
    "rest",
    [b"x", b"plaintext", b"{CRYPT}x", b"{SCRAM-SHA-256}1,a", b"{SCRAM-SHA-256}x,YQ==,YQ==,YQ=="],
)
def test_a_field_that_is_not_known_is_an_error(rest: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_entry(b"joe:" + rest)


def test_the_keys_are_those_of_the_standard() -> None:
    keys = make_keys(b"pencil")

    assert (keys.stored_key, keys.server_key) == scram_keys(b"pencil", keys.salt, keys.iterations)
    assert keys.iterations >= 4096


def test_scram_cannot_keep_what_is_not_text() -> None:
    with pytest.raises(PermanentFailure):
        make_keys(b"\xff")


def test_a_name_is_found_in_capitals_too(home: Path) -> None:
    (home / "users" / "passwd").write_bytes(b"# note\n\njoe-x:$a\njoe:$b\n")

    assert find_entry(str(home), b"JOE") == Entry(b"joe", b"$b")
    assert find_entry(str(home), b"jo") is None
    assert find_entry(str(home), b"# note") is None


def test_nobody_is_in_a_file_that_is_not_there(home: Path) -> None:
    assert find_entry(str(home), b"joe") is None
    assert entries(str(home)) == []


def test_a_broken_line_is_named_and_hurts_nobody_else(home: Path) -> None:
    (home / "users" / "passwd").write_bytes(b"joe:oops\nann:$a\n")

    assert find_entry(str(home), b"ann") == Entry(b"ann", b"$a")
    with pytest.raises(ControlError, match="users/passwd line 1"):
        find_entry(str(home), b"joe")
    with pytest.raises(ControlError, match="users/passwd line 1"):
        entries(str(home))


def test_a_file_that_cannot_be_read_is_an_error(home: Path) -> None:
    os.mkdir(home / "users" / "passwd")

    with pytest.raises(ControlError):
        find_entry(str(home), b"joe")


def test_an_entry_replaces_the_one_before_it_and_no_other(home: Path) -> None:
    path = home / "users" / "passwd"
    path.write_bytes(b"# note\nJoe:$old\nann:$a\n")

    set_entry(str(home), Entry(b"joe", b"$new"))

    assert path.read_bytes() == b"# note\nann:$a\njoe:$new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_entry_is_taken_away(home: Path) -> None:
    set_entry(str(home), Entry(b"joe", b"$a"))
    set_entry(str(home), Entry(b"ann", b"$a"))

    assert remove_entry(str(home), b"joe")
    assert not remove_entry(str(home), b"joe")
    assert [entry.name for entry in entries(str(home))] == [b"ann"]


@pytest.mark.parametrize("name", [b"", b"#joe", b"j:oe", b"j\noe", b"j oe", b"j\0oe"])
def test_what_would_be_another_line_is_no_name(home: Path, name: bytes) -> None:
    with pytest.raises(PermanentFailure):
        set_entry(str(home), Entry(name, b"$a"))


def test_a_secret_cannot_end_the_line(home: Path) -> None:
    with pytest.raises(PermanentFailure):
        set_entry(str(home), Entry(b"joe", secret=b"a\nroot:$b"))
