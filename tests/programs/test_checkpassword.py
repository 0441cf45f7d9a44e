"""The command, as any server of the family starts it."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.logins import LoginHome
from tests.support.places import ordinary_place

from pyqmail.login.guesses import MAX_OF_ADDRESS, Guesses
from pyqmail.login.hashing import hash_password

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

SHOW = ["sh", "-c", 'id -u; id -G; pwd; echo "$USER $HOME $SHELL $KEPT"; ls /proc/self/fd | wc -l']
RIGHT = b"joe\0secret\0<1@x>\0"


class Checkpassword:
    """Runs the command in a home of one user."""

    def __init__(self, launchers: str, folder: Path) -> None:
        self.home = LoginHome(folder)
        self.home.users("joe:" + hash_password(b"secret").decode())
        self._launchers = launchers
        self._input = folder / "credentials"

    def __call__(
        self, credentials: bytes | None, *program: str, **options: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it with `credentials` on descriptor 3; None: that is closed."""
        self._input.write_bytes(credentials or b"")
        redirection = "3<&-" if credentials is None else f"3<{self._input}"
        return subprocess.run(
            [
                "sh",
                "-c",
                f'exec "$@" {redirection}',
                "",
                f"{self._launchers}/checkpassword",
                *program,
            ],
            env={"PATH": os.defpath, "QMAILHOME": self.home.path, "KEPT": "kept", **options},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def checkpassword(launchers: str) -> Iterator[Checkpassword]:
    with ordinary_place() as place:
        yield Checkpassword(launchers, place)


def test_the_program_runs_as_the_user_and_as_nothing_else(checkpassword: Checkpassword) -> None:
    home = checkpassword.home

    done = checkpassword(RIGHT, *SHOW)

    uid, groups, folder, variables, descriptors = done.stdout.splitlines()
    assert done.returncode == 0
    assert int(uid) == home.uid
    assert os.getuid() != 0 or groups == str(home.gid)
    assert folder == str(home.joe)
    assert variables == f"joe {home.joe} /bin/false kept"
    assert int(descriptors) == 4  # 0, 1, 2 and that of ls: the password is gone


def test_dovecot_is_told_whose_session_it_is_and_nobody_can_meddle(
    checkpassword: Checkpassword, tmp_path: Path
) -> None:
    home = checkpassword.home
    reply = tmp_path / "checkpassword-reply"
    reply.write_text('#!/bin/sh\nid -u; echo "$USER $HOME $EXTRA $userdb_uid $userdb_gid"\n')
    reply.chmod(0o755)

    done = checkpassword(RIGHT, str(reply))
    refused = checkpassword(b"joe\0wrong\0\0", str(reply))

    uid, variables = done.stdout.splitlines()
    assert int(uid) == os.getuid()
    assert variables == f"joe {home.joe} userdb_uid userdb_gid {home.uid} {home.gid}"
    assert (refused.returncode, refused.stdout) == (1, "")


def test_its_exit_code_is_the_programs(checkpassword: Checkpassword) -> None:
    assert checkpassword(RIGHT, "sh", "-c", "exit 7").returncode == 7


@pytest.mark.parametrize(
    "credentials", [b"joe\0wrong\0\0", b"nobody-here\0secret\0\0", b"joe\0\0\0"]
)
def test_a_wrong_password_takes_its_time_and_ends_with_1(
    checkpassword: Checkpassword, credentials: bytes
) -> None:
    start = time.monotonic()

    done = checkpassword(credentials, "echo", "in")

    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert time.monotonic() - start >= 1


def test_more_than_512_bytes_are_refused(checkpassword: Checkpassword) -> None:
    most = RIGHT + b"x" * (512 - len(RIGHT))

    assert checkpassword(most, "true").returncode == 0
    assert checkpassword(most + b"x", "true").returncode == 1


@pytest.mark.parametrize("credentials", [b"", b"joe", b"joe\0secret"])
def test_who_does_not_keep_to_the_interface_is_told(
    checkpassword: Checkpassword, credentials: bytes
) -> None:
    assert checkpassword(credentials, "true").returncode == 2


def test_without_a_program_it_is_misused(checkpassword: Checkpassword) -> None:
    assert checkpassword(RIGHT).returncode == 2


def test_what_cannot_be_read_now_may_be_later(checkpassword: Checkpassword) -> None:
    assert checkpassword(None, "true").returncode == 111


@pytest.mark.parametrize("program", ["/no/such/program", "no-such-program"])
def test_a_program_that_is_not_there_may_be_later(
    checkpassword: Checkpassword, program: str
) -> None:
    assert checkpassword(RIGHT, program).returncode == 111


def test_a_home_that_cannot_be_entered_may_be_later(checkpassword: Checkpassword) -> None:
    checkpassword.home.joe.rmdir()

    assert checkpassword(RIGHT, "true").returncode == 111


def test_broken_files_decide_nothing(checkpassword: Checkpassword) -> None:
    checkpassword.home.users("joe:oops")

    done = checkpassword(RIGHT, "true")

    assert (done.returncode, done.stderr) == (111, "")


def test_an_address_that_guesses_is_blocked(checkpassword: Checkpassword) -> None:
    memory = Guesses(checkpassword.home.path)
    for number in range(MAX_OF_ADDRESS):
        memory.begin(b"192.0.2.7", b"name%d" % number, time.time())
    memory.begin(b"192.0.2.8", b"joe", time.time())

    assert checkpassword(RIGHT, "true", TCPREMOTEIP="192.0.2.8").returncode == 0
    assert checkpassword(RIGHT, "true", TCPREMOTEIP="192.0.2.7").returncode == 111
    assert checkpassword(RIGHT, "true", TCPREMOTEIP="192.0.2.7", MANYUSERS="").returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to leave it")
def test_in_a_private_home_root_is_its_owner(checkpassword: Checkpassword) -> None:
    home = checkpassword.home
    for folder, _, names in os.walk(home.path):
        for path in (folder, *(f"{folder}/{name}" for name in names)):
            os.chown(path, home.uid, home.gid)

    assert checkpassword(RIGHT, "true").returncode == 0

    assert os.stat(f"{home.path}/run/guesses").st_uid == home.uid
