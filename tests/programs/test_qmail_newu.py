from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.children import NOBODY
from tests.support.places import ordinary_place

from pyqmail.control.cdb import Cdb

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process


@pytest.fixture
def users(commands: Commands) -> Path:
    folder = commands.top / "users"
    folder.mkdir()
    return folder


def test_the_database_is_made_anew(commands: Commands, users: Path) -> None:
    (users / "assign").write_bytes(b"=joe:joe:503:78:/home/joe:::\n+:a:1:2:/a:-::\n.\n")
    (users / "cdb").write_bytes(b"old")
    (users / "cdb.tmp").write_bytes(b"left over")

    done = commands.run("qmail-newu", environ={"PATH": os.defpath})

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(Cdb(str(users / "cdb")).records()) == [
        (b"!joe\0", b"joe\x00503\x0078\0/home/joe\0\0"),
        (b"!", b"a\x001\x002\0/a\0-\0"),
        (b"", b""),
    ]
    assert (users / "cdb").stat().st_mode & 0o7777 == 0o644
    assert sorted(path.name for path in users.iterdir()) == ["assign", "cdb"]


@pytest.mark.parametrize(
    "text", [b"", b"=a:b:1:2:/:::\n", b"=a\n.\n", b":\n.\n", b"=\0:::::::\n.\n"]
)
def test_a_file_with_an_error_changes_nothing(commands: Commands, users: Path, text: bytes) -> None:
    (users / "assign").write_bytes(text)
    (users / "cdb").write_bytes(b"old")

    done = commands.run("qmail-newu")

    assert (done.returncode, done.stderr) == (
        111,
        b"qmail-newu: fatal: bad format in users/assign\n",
    )
    assert (users / "cdb").read_bytes() == b"old"


def test_without_a_file_it_says_so(commands: Commands, users: Path) -> None:
    done = commands.run("qmail-newu")

    assert (done.returncode, done.stderr) == (
        111,
        b"qmail-newu: fatal: unable to open users/assign\n",
    )
    assert list(users.iterdir()) == []


def test_what_cannot_be_read_is_not_what_cannot_be_opened(commands: Commands, users: Path) -> None:
    (users / "assign").mkdir()

    done = commands.run("qmail-newu")

    assert (done.returncode, done.stderr) == (
        111,
        b"qmail-newu: fatal: unable to read users/assign\n",
    )


def test_a_home_that_is_not_there_is_told_of(commands: Commands) -> None:
    done = commands.run("qmail-newu", environ={"QMAILHOME": "/nonexistent"})

    assert (done.returncode, done.stderr) == (111, b"qmail-newu: fatal: unable to chdir\n")


def test_a_target_in_the_way_is_told_of(commands: Commands, users: Path) -> None:
    (users / "assign").write_bytes(b".\n")
    (users / "cdb").mkdir()

    done = commands.run("qmail-newu")

    assert (done.returncode, done.stderr) == (
        111,
        b"qmail-newu: fatal: unable to move users/cdb.tmp to users/cdb\n",
    )


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, who becomes the owner of a home")
def test_root_does_it_as_the_owner_of_a_private_home(commands: Commands) -> None:
    with ordinary_place() as home:
        (home / "users").mkdir()
        (home / "users" / "assign").write_bytes(b".\n")
        os.chown(home / "users", NOBODY, NOBODY)

        done = commands.run("qmail-newu", environ={"QMAILHOME": str(home)})

        assert done.returncode == 0, done.stderr
        assert (home / "users" / "cdb").stat().st_uid == NOBODY
