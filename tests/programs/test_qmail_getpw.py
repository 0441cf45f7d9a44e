from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest
from tests.support.accounts import accounts, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.commands import Commands

pytestmark = pytest.mark.process

NOBODY = 65534


def give_away(commands: Commands) -> int:
    """Make the home a private one; return who owns it."""
    if os.getuid() == 0:
        os.chown(commands.top, NOBODY, NOBODY)
    return commands.top.stat().st_uid


def test_in_a_private_home_everything_is_alias(commands: Commands) -> None:
    uid = give_away(commands)
    gid = pwd.getpwuid(uid).pw_gid

    done = commands.run("qmail-getpw", "Root-List")

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == f"alias\0{uid}\0{gid}\0{commands.top}/alias\0-\0Root-List\0".encode()


def test_without_a_local_part_it_is_refused(commands: Commands) -> None:
    give_away(commands)

    assert commands.run("qmail-getpw").returncode == 100


@pytest.fixture(scope="module")
def _family() -> Iterator[None]:
    with accounts():
        yield


@pytest.mark.root
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize(
    ("local", "name", "dash", "ext"),
    [
        ("mv1", "mv1", "", ""),
        ("MV1", "mv1", "", ""),
        ("mv1-List-x", "mv1", "-", "List-x"),
        ("mv1-", "mv1", "-", ""),
        ("root", "alias", "-", "root"),
        ("mv1x", "alias", "-", "mv1x"),
        ("-mv1", "alias", "-", "-mv1"),
        ("no-such-account", "alias", "-", "no-such-account"),
    ],
)
@pytest.mark.usefixtures("_family")
def test_in_a_system_home_the_longest_account_that_begins_it_owns_it(
    commands: Commands, local: str, name: str, dash: str, ext: str
) -> None:
    entry = pwd.getpwnam(name)

    done = commands.run("qmail-getpw", local)

    assert done.returncode == 0
    assert done.stdout.split(b"\0") == [
        field.encode()
        for field in (name, str(entry.pw_uid), str(entry.pw_gid), entry.pw_dir, dash, ext, "")
    ]
