from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.children import NOBODY, as_ordinary_user, in_child

from pyqmail.control.roles import leave_root, roles_of
from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.home.ownership import acting_as, become_owner, require_home
from pyqmail.home.setup import setup

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, who becomes another account")


def ids() -> tuple[int, ...]:
    return (*os.getresuid(), *os.getresgid(), *os.getgroups())


def test_a_home_that_is_not_there_is_named_with_the_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(
        PermanentFailure, match=r"there is no home .*: make one with qmailctl setup"
    ):
        become_owner(str(tmp_path / "home"))


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    with pytest.raises(PermanentFailure, match="there is no home"):
        require_home(str(tmp_path / "home"))


def test_the_owner_stays_who_he_is(home: Path) -> None:
    def work() -> bool:
        before = ids()
        owner = become_owner(str(home))
        return ids() == before and owner.uid == os.getuid()

    assert as_ordinary_user(work)


@pytest.mark.root
@needs_root
def test_root_becomes_the_owner_and_cannot_come_back(home: Path) -> None:
    def work() -> tuple[int, ...]:
        become_owner(str(home))
        with pytest.raises(PermissionError):
            os.setuid(0)
        return ids()

    assert set(in_child(work)) == {NOBODY}


@pytest.mark.root
@needs_root
def test_root_that_only_looks_becomes_the_owner_too(home: Path) -> None:
    def work() -> tuple[int, ...]:
        leave_root(str(home))
        return ids()

    assert set(in_child(work)) == {NOBODY}


@pytest.mark.root
@needs_root
def test_in_a_system_home_root_stays_root(tmp_path: Path) -> None:
    assert not leave_root(str(tmp_path)).private
    assert os.geteuid() == 0


@pytest.mark.root
@needs_root
def test_a_home_that_root_owns_is_not_run_and_the_way_out_is_said(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match=r"nothing is delivered as root.*chown -R ACCOUNT"):
        become_owner(str(tmp_path))


@pytest.mark.root
@needs_root
def test_somebody_else_than_the_owner_is_told_who_may(home: Path) -> None:
    def work() -> None:
        os.setgroups([])
        os.setresgid(1, 1, 1)
        os.setresuid(1, 1, 1)
        become_owner(str(home))

    with pytest.raises(PermanentFailure, match="belongs to nobody: run this as nobody or as root"):
        in_child(work)


@pytest.fixture
def closed() -> Iterator[Path]:
    """Give a folder that only root can enter."""
    with tempfile.TemporaryDirectory(prefix="closed.") as top:
        yield Path(top)


@pytest.mark.root
@needs_root
def test_a_folder_that_the_owner_cannot_reach_is_named_with_what_to_do(closed: Path) -> None:
    home = closed / "a" / "home"
    home.mkdir(parents=True)
    os.chown(home, NOBODY, NOBODY)

    with pytest.raises(TransientFailure) as caught:
        in_child(lambda: become_owner(str(home)))

    assert str(caught.value) == (
        f"account nobody cannot use {home} (access denied at {closed}): "
        f"choose another folder, or open it: chmod o+rx {closed}"
    )


@pytest.mark.root
@needs_root
def test_setup_in_such_a_folder_says_the_same(closed: Path) -> None:
    with pytest.raises(TransientFailure, match=f"open it: chmod o\\+rx {closed}"):
        in_child(lambda: setup(str(closed / "home"), b"mail.example.org", None, []))

    assert list(closed.iterdir()) == []


@pytest.mark.root
@needs_root
def test_acting_as_somebody_ends_when_it_ends(home: Path) -> None:
    account = roles_of(str(home)).owner
    before = ids()

    with acting_as(account):
        during = (os.geteuid(), os.getegid())

    assert during == (account.uid, account.gid)
    assert ids() == before
