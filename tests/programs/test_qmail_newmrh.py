from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.cdb import Cdb

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process


@pytest.fixture
def control(commands: Commands) -> Path:
    folder = commands.top / "control"
    folder.mkdir()
    return folder


def test_hosts_become_keys_in_lower_case(commands: Commands, control: Path) -> None:
    (control / "morercpthosts").write_bytes(b"Heaven.example \t\n# comment\n\n.AF.example\nlast")

    done = commands.run("qmail-newmrh")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(Cdb(str(control / "morercpthosts.cdb")).records()) == [
        (b"heaven.example", b""),
        (b".af.example", b""),
        (b"last", b""),
    ]
    assert (control / "morercpthosts.cdb").stat().st_mode & 0o7777 == 0o644
    assert not (control / "morercpthosts.tmp").exists()


def test_a_carriage_return_stays_as_in_the_original(commands: Commands, control: Path) -> None:
    (control / "morercpthosts").write_bytes(b"a.example\r\n")

    assert commands.run("qmail-newmrh").returncode == 0

    assert list(Cdb(str(control / "morercpthosts.cdb")).records()) == [(b"a.example\r", b"")]


def test_without_a_file_it_says_so_and_changes_nothing(commands: Commands, control: Path) -> None:
    (control / "morercpthosts.cdb").write_bytes(b"old")

    done = commands.run("qmail-newmrh")

    assert (done.returncode, done.stderr) == (
        111,
        b"qmail-newmrh: fatal: unable to read control/morercpthosts: file does not exist\n",
    )
    assert (control / "morercpthosts.cdb").read_bytes() == b"old"


def test_a_target_in_the_way_is_told_of(commands: Commands, control: Path) -> None:
    (control / "morercpthosts").write_bytes(b"a\n")
    (control / "morercpthosts.cdb").mkdir()

    done = commands.run("qmail-newmrh")

    assert done.returncode == 111
    assert done.stderr.startswith(
        b"qmail-newmrh: fatal: unable to move control/morercpthosts.tmp to "
    )


def test_a_home_that_is_not_there_is_told_of(commands: Commands) -> None:
    done = commands.run("qmail-newmrh", environ={"QMAILHOME": "/nonexistent"})

    assert (done.returncode, done.stderr) == (
        111,
        b"qmail-newmrh: fatal: unable to chdir to /nonexistent: file does not exist\n",
    )
