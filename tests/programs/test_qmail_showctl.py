from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process

NOBODY = 65534


@pytest.fixture
def home(commands: Commands) -> Path:
    """Give a private home with no control files."""
    (commands.top / "control").mkdir()
    if os.getuid() == 0:
        os.chown(commands.top, NOBODY, NOBODY)
    return commands.top


def test_it_begins_with_what_holds_for_the_whole_home(commands: Commands, home: Path) -> None:
    done = commands.run("qmail-showctl")

    status = home.stat()
    uid, gid = status.st_uid, pwd.getpwuid(status.st_uid).pw_gid
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().startswith(
        f"qmail home directory: {home}.\n"
        "user-ext delimiter: -.\n"
        "paternalism (in decimal): 2.\n"
        "silent concurrency limit: 65535.\n"
        "subdirectory split: 23.\n"
        f"user ids: {', '.join([str(uid)] * 8)}.\n"
        f"group ids: {gid}, {gid}.\n"
        "\n"
        "badmailfrom: (Default.) Any MAIL FROM is allowed.\n"
    )


def test_trouble_with_a_file_does_not_change_the_exit_code(commands: Commands, home: Path) -> None:
    (home / "control" / "databytes").write_text("many\n")

    done = commands.run("qmail-showctl")

    assert done.returncode == 0
    assert b"\ndatabytes: Oops! Trouble reading this file.\n" in done.stdout


def test_me_that_cannot_be_read_ends_it(commands: Commands, home: Path) -> None:
    (home / "control" / "me").mkdir()

    done = commands.run("qmail-showctl")

    assert done.returncode == 111
    assert done.stdout.endswith(b".\nOops! Trouble reading control/me.")


def test_a_home_that_is_not_there_is_named(commands: Commands) -> None:
    done = commands.run("qmail-showctl", environ={"QMAILHOME": "/nonexistent"})

    assert (done.returncode, done.stdout) == (
        111,
        b"Oops! Unable to chdir to /nonexistent.\n",
    )


def test_a_home_without_control_is_told_of(commands: Commands, home: Path) -> None:
    (home / "control").rmdir()

    done = commands.run("qmail-showctl")

    assert done.returncode == 111
    assert done.stdout.endswith(b".\nOops! Unable to chdir to control.\n")
