"""qmailctl: its command line, and setup."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.private_home import why_not

if TYPE_CHECKING:
    from tests.support.qmailctl import Qmailctl

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


def test_without_a_command_it_shows_what_there_is(unmade: Qmailctl) -> None:
    asked, silent = unmade("--help"), unmade()

    assert (asked.returncode, silent.returncode) == (0, 100)
    for command in ("setup", "run", "check", "user", "queue"):
        assert command in asked.stdout
        assert command in silent.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["user", "add"], "Missing argument 'NAME'"),
        (["setup"], "Missing option '--host'"),
        (["check", "--nonsense"], "No such option"),
    ],
)
def test_a_command_line_that_is_wrong_ends_with_100(
    unmade: Qmailctl, arguments: list[str], text: str
) -> None:
    done = unmade(*arguments)

    assert (done.returncode, done.stdout) == (100, "")
    assert text in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["user", "add", "aku"], ["user", "list"], ["run"], ["check"], ["queue", "list"]],
)
def test_a_home_that_is_not_there_is_told_of(unmade: Qmailctl, arguments: list[str]) -> None:
    done = unmade(*arguments)

    assert (done.returncode, done.stdout) == (100, "")
    assert done.stderr == (
        f"qmailctl: fatal: there is no home {unmade.home}: "
        f"make one with qmailctl setup --home {unmade.home}\n"
    )


def test_a_home_without_a_path_is_not_the_working_directory(unmade: Qmailctl) -> None:
    done = unmade("setup", "--host", "mail.example.org", "--home", "")

    assert (done.returncode, done.stderr) == (
        100,
        "qmailctl: fatal: the path of the home is empty\n",
    )


def test_setup_makes_a_home_and_says_what_comes_next(unmade: Qmailctl) -> None:
    done = unmade("setup", "--host", "mail.example.org", "--home", str(unmade.home), QMAILHOME="/x")

    owner = "nobody" if os.getuid() == 0 else ""
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{unmade.home} is a home of {owner}")
    command = f"{unmade.home}/bin/qmailctl"
    assert done.stdout.endswith(f"Next: {command} user add NAME; {command} run\n")
    assert os.readlink(unmade.home / "bin" / "qmail-inject") == "pyqmail"
    assert unmade("check").stdout == ""


def test_setup_where_nothing_can_be_made_names_the_folder(unmade: Qmailctl) -> None:
    done = unmade("setup", "--host", "mail.example.org", "--home", f"{unmade.place}/a/b")

    assert (done.returncode, done.stderr) == (
        111,
        f"qmailctl: fatal: {unmade.place}/a/b: No such file or directory\n",
    )


def test_a_link_is_not_made_a_home(unmade: Qmailctl) -> None:
    (unmade.place / "folder").mkdir()
    (unmade.place / "link").symlink_to("folder")

    done = unmade("setup", "--host", "mail.example.org", "--home", f"{unmade.place}/link")

    assert (done.returncode, done.stderr) == (
        100,
        f"qmailctl: fatal: {unmade.place}/link is a link: name the folder it leads to\n",
    )
    assert list((unmade.place / "folder").iterdir()) == []


def test_by_whatever_path_a_home_is_named_its_users_are_the_same(qmailctl: Qmailctl) -> None:
    (qmailctl.place / "link").symlink_to("home")

    qmailctl("user", "add", "aku", "--home", f"{qmailctl.place}/link")

    assert qmailctl("user", "list").stdout == f"aku\t{qmailctl.home}/home/aku\n"


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, as sudo does")
def test_a_home_made_with_sudo_belongs_to_who_asked(unmade: Qmailctl) -> None:
    os.chmod(unmade.place, 0o777)

    done = unmade("setup", "--host", "mail.example.org", as_root=True, SUDO_USER="daemon")

    assert done.stdout.startswith(f"{unmade.home} is a home of daemon for mail.example.org.\n")
    assert unmade.home.stat().st_uid == 1
