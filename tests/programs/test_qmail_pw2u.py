from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process

PASSWD = (
    b"root:x:0:0:root:/root:/bin/sh\n"
    b"alias:x:7:2:alias:/var/qmail/alias:/bin/sh\n"
    b"joe:x:503:78:Joe:/home/joe:/bin/sh\n"
)
LINES = (
    b"+:alias:7:2:/var/qmail/alias:-::\n"
    b"=alias:alias:7:2:/var/qmail/alias:::\n"
    b"+alias-:alias:7:2:/var/qmail/alias:-::\n"
    b"=joe:joe:503:78:/home/joe:::\n"
    b"+joe-:joe:503:78:/home/joe:-::\n"
)


@pytest.fixture
def users(commands: Commands) -> Path:
    folder = commands.top / "users"
    folder.mkdir()
    return folder


def convert(
    commands: Commands, *arguments: str, text: bytes = PASSWD
) -> subprocess.CompletedProcess[bytes]:
    return commands.run("qmail-pw2u", *arguments, message=text)


def test_a_password_file_becomes_assignments(commands: Commands, users: Path) -> None:
    done = convert(commands, "-H")

    assert users.exists()
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == LINES + b".\n"


def test_its_output_is_what_qmail_newu_reads(commands: Commands, users: Path) -> None:
    (users / "assign").write_bytes(convert(commands, "-H").stdout)

    assert commands.run("qmail-newu").returncode == 0


def test_users_without_a_home_are_left_out_unless_that_is_an_error(
    commands: Commands, users: Path
) -> None:
    assert users.exists()

    left_out = convert(commands, text=PASSWD + b"alias:x:1:1::/nonexistent:\n")
    stopped = convert(commands, "-h", text=b"joe:x:503:78::/nonexistent:\n")

    assert left_out.stderr == b"qmail-pw2u: fatal: unable to find alias user\n"
    assert (stopped.returncode, stopped.stderr) == (
        111,
        b"qmail-pw2u: fatal: unable to stat /nonexistent\n",
    )


def test_options_may_be_bundled_and_the_last_counts(commands: Commands, users: Path) -> None:
    assert users.exists()

    done = convert(commands, "-oHCc+", text=PASSWD)

    assert done.stdout.count(b"\n+joe+:") == 1


def test_an_unknown_option_is_refused(commands: Commands, users: Path) -> None:
    assert users.exists()

    done = convert(commands, "-x")

    assert (done.returncode, done.stdout) == (100, b"")
    assert done.stderr == b"qmail-pw2u: illegal option -- x\n"


def test_the_files_of_users_refine_it(commands: Commands, users: Path) -> None:
    (users / "exclude").write_text("# nobody likes\nann\n")
    (users / "mailnames").write_text("joe:j\n")
    (users / "subusers").write_text("fan:joe:club:\n")
    (users / "append").write_text("=x:y:1:1:/:::\n")

    done = convert(commands, "-HC", text=PASSWD + b"ann:x:504:78::/home/ann:\n")

    assert done.stdout == (
        b"+:alias:7:2:/var/qmail/alias:-::\n"
        b"=alias:alias:7:2:/var/qmail/alias:::\n"
        b"=j:joe:503:78:/home/joe:::\n"
        b"=fan:joe:503:78:/home/joe:-:club:\n"
        b"=x:y:1:1:/:::\n"
        b".\n"
    )


def test_without_alias_there_is_no_end(commands: Commands, users: Path) -> None:
    assert users.exists()

    done = convert(commands, "-H", text=b"joe:x:503:78::/home/joe:\n")

    assert (done.returncode, done.stderr) == (
        111,
        b"qmail-pw2u: fatal: unable to find alias user\n",
    )
    assert not done.stdout.endswith(b".\n")


def test_a_file_that_cannot_be_read_is_not_an_absent_one(commands: Commands, users: Path) -> None:
    (users / "include").mkdir()

    done = convert(commands, "-H")

    assert (done.returncode, done.stdout) == (111, b"")
    assert done.stderr == b"qmail-pw2u: fatal: unable to read controls\n"
