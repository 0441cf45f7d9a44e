from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.children import NOBODY, as_ordinary_user, in_child
from tests.unit.home.conftest import PROGRAMS

from pyqmail.errors import PermanentFailure
from pyqmail.home.setup import setup

if TYPE_CHECKING:
    from pathlib import Path

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give homes away")


def make(home: Path, host: bytes = b"mail.example.org", user: str | None = None) -> str:
    return setup(str(home), host, user, PROGRAMS).name


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def contents(top: Path) -> dict[str, bytes | int]:
    """Return what is below `top`: text of files, modes of everything else."""
    return {
        str(path.relative_to(top)): path.read_bytes() if path.is_file() else mode_of(path)
        for path in top.rglob("*")
    }


def test_the_folders_have_the_modes_of_the_original(home: Path) -> None:
    modes = {name: mode_of(home / name) for name in ("control", "users", "bin", "boot", "alias")}

    assert modes == {"control": 0o755, "users": 0o755, "bin": 0o755, "boot": 0o755, "alias": 0o2755}
    assert mode_of(home) == 0o755
    assert mode_of(home / "queue") == 0o750
    assert mode_of(home / "queue" / "lock" / "trigger") == 0o622
    assert stat.S_ISFIFO((home / "queue" / "lock" / "trigger").stat().st_mode)


def test_control_files_are_those_of_config_fast_and_a_certificate(home: Path) -> None:
    files = {path.name: (path.read_bytes(), mode_of(path)) for path in (home / "control").iterdir()}

    assert files == {
        "me": (b"mail.example.org\n", 0o644),
        "defaultdomain": (b"example.org\n", 0o644),
        "plusdomain": (b"example.org\n", 0o644),
        "locals": (b"mail.example.org\n", 0o644),
        "rcpthosts": (b"mail.example.org\n", 0o644),
        "servercert.pem": (files["servercert.pem"][0], 0o600),
    }


def test_whoever_must_be_reachable_is(home: Path) -> None:
    aliases = {path.name: path.read_bytes() for path in (home / "alias").iterdir()}

    assert aliases == {".qmail-postmaster": b"", ".qmail-mailer-daemon": b"", ".qmail-root": b""}


def test_everything_belongs_to_one_account(home: Path) -> None:
    owner = home.stat().st_uid

    assert owner == (os.getuid() or NOBODY)
    assert {path.lstat().st_uid for path in home.rglob("*")} == {owner}


def test_the_umask_of_the_caller_changes_nothing(place: Path) -> None:
    def make_with_umask() -> None:
        os.umask(0o077)
        make(place / "home")

    as_ordinary_user(make_with_umask)

    assert mode_of(place / "home" / "control") == 0o755
    assert mode_of(place / "home" / "control" / "me") == 0o644
    assert mode_of(place / "home" / "alias" / ".qmail-root") == 0o644


def test_a_second_setup_changes_nothing_that_is_there(home: Path) -> None:
    (home / "control" / "locals").write_bytes(b"mine.example\n")
    (home / "rc").write_bytes(b"#!/bin/sh\nexec mine\n")
    before = contents(home)

    as_ordinary_user(lambda: make(home, b"other.example.net"))

    assert contents(home) == before


def test_a_second_setup_makes_what_is_missing(home: Path) -> None:
    before = contents(home)
    shutil.rmtree(home / "queue" / "mess")
    (home / "control" / "plusdomain").unlink()
    (home / "bin" / "forward").unlink()

    as_ordinary_user(lambda: make(home))

    assert contents(home) == before


@pytest.mark.parametrize("name", ["a:b", "a\nb"])
def test_a_path_that_users_assign_cannot_hold_is_refused(place: Path, name: str) -> None:
    with pytest.raises(PermanentFailure, match="colon or a newline"):
        as_ordinary_user(lambda: make(place / name))

    assert list(place.iterdir()) == []


def test_a_host_that_is_none_is_refused_before_anything_is_made(place: Path) -> None:
    with pytest.raises(PermanentFailure, match="not a host name"):
        as_ordinary_user(lambda: make(place / "home", b"a..b"))

    assert list(place.iterdir()) == []


def test_an_account_that_is_not_there_is_named(place: Path) -> None:
    with pytest.raises(PermanentFailure, match="there is no account no-such-account"):
        as_ordinary_user(lambda: make(place / "home", user="no-such-account"))


def test_nobody_gives_a_home_to_somebody_else(place: Path) -> None:
    with pytest.raises(PermanentFailure, match=r"nothing is delivered as root"):
        as_ordinary_user(lambda: make(place / "home", user="root"))


@pytest.mark.root
@needs_root
def test_root_gives_the_home_to_an_unprivileged_account(place: Path) -> None:
    assert in_child(lambda: make(place / "home")) == "nobody"

    owners = {path.lstat().st_uid for path in (place / "home").rglob("*")}
    assert owners == {(place / "home").stat().st_uid} == {NOBODY}


@pytest.mark.root
@needs_root
def test_root_gives_the_home_to_the_account_it_names(place: Path) -> None:
    assert in_child(lambda: make(place / "home", user="daemon")) == "daemon"

    assert (place / "home" / "queue").stat().st_uid == (place / "home").stat().st_uid == 1


@pytest.mark.root
@needs_root
def test_what_root_has_in_a_folder_is_not_given_away(place: Path) -> None:
    (place / "home").mkdir()
    (place / "home" / "important").write_text("root's")

    with pytest.raises(PermanentFailure, match="belongs to root and is not empty"):
        in_child(lambda: make(place / "home"))

    assert (place / "home").stat().st_uid == 0


@pytest.mark.root
@needs_root
def test_root_follows_no_link_that_somebody_put_in_the_place_of_the_home(place: Path) -> None:
    (place / "target").mkdir()
    os.chown(place / "target", 0, 0)
    (place / "home").symlink_to(place / "target")

    with pytest.raises(RuntimeError, match=r"OSError|NotADirectoryError"):
        in_child(lambda: make(place / "home"))

    assert (place / "target").stat().st_uid == 0


@pytest.mark.root
@needs_root
def test_another_account_than_the_owner_is_refused(home: Path) -> None:
    with pytest.raises(PermanentFailure, match="belongs to nobody, not to daemon"):
        in_child(lambda: make(home, user="daemon"))
