from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.commands import Commands

pytestmark = pytest.mark.process


def test_a_maildir_is_made_whatever_the_umask(commands: Commands) -> None:
    done = commands.run("maildirmake", "Maildir/")

    made = [commands.top / "Maildir", *(commands.top / "Maildir").iterdir()]
    assert done.returncode == 0
    assert sorted(path.name for path in made) == ["Maildir", "cur", "new", "tmp"]
    assert {path.stat().st_mode & 0o7777 for path in made} == {0o700}


def test_what_is_there_is_left_alone(commands: Commands) -> None:
    (commands.top / "Maildir").mkdir()

    done = commands.run("maildirmake", "Maildir")

    text = b"maildirmake: fatal: unable to mkdir Maildir: file already exists\n"
    assert (done.returncode, done.stderr) == (111, text)


def test_a_name_is_needed(commands: Commands) -> None:
    done = commands.run("maildirmake")

    assert (done.returncode, done.stderr) == (100, b"maildirmake: usage: maildirmake name\n")
