from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import dies_at

from pyqmail.errors import TransientFailure
from pyqmail.home.sendmail_links import foreign, replace, restore

if TYPE_CHECKING:
    from pathlib import Path

HOME = "/var/qmail"


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Give the two places as Debian has them: a program, and a link to it."""
    for name in ("sbin", "lib"):
        (tmp_path / name).mkdir()
    (tmp_path / "sbin" / "sendmail").write_text("of others")
    (tmp_path / "lib" / "sendmail").symlink_to("../sbin/sendmail")
    return [str(tmp_path / name / "sendmail") for name in ("sbin", "lib")]


def state_of(paths: list[str]) -> list[str]:
    return [os.readlink(path) if os.path.islink(path) else "file" for path in paths]


def test_both_places_lead_to_ours_and_back(paths: list[str]) -> None:
    assert list(foreign(HOME, paths)) == paths

    assert len(replace(HOME, paths)) == 2

    assert state_of(paths) == [f"{HOME}/bin/sendmail"] * 2
    assert list(foreign(HOME, paths)) == []
    assert replace(HOME, paths) == []

    assert len(restore(HOME, paths)) == 2

    assert state_of(paths) == ["file", "../sbin/sendmail"]
    assert sorted(os.listdir(os.path.dirname(paths[0]))) == ["sendmail"]
    assert restore(HOME, paths) == []


def test_where_there_was_none_there_is_none_again(paths: list[str]) -> None:
    os.unlink(paths[1])
    replace(HOME, [*paths, "/no/such/folder/sendmail"])

    restore(HOME, paths)

    assert not os.path.lexists(paths[1])


def test_what_somebody_else_has_put_there_stays(paths: list[str]) -> None:
    replace(HOME, paths)
    os.unlink(paths[0])
    os.symlink("/opt/other/sendmail", paths[0])

    restore(HOME, paths)

    assert state_of(paths)[0] == "/opt/other/sendmail"


def test_a_third_program_is_not_thrown_away(paths: list[str]) -> None:
    replace(HOME, paths)
    os.unlink(paths[0])
    os.symlink("/opt/other/sendmail", paths[0])

    with pytest.raises(TransientFailure, match="remove one"):
        replace(HOME, paths)


@pytest.mark.parametrize("work", [replace, restore])
def test_whenever_it_is_interrupted_there_is_a_sendmail(paths: list[str], work: object) -> None:
    for step in itertools.count():
        restore(HOME, paths)
        if work is restore:
            replace(HOME, paths)

        died = dies_at(step, lambda: work(HOME, paths))

        assert all(os.path.lexists(path) for path in paths)
        work(HOME, paths)
        expected = [f"{HOME}/bin/sendmail"] * 2 if work is replace else ["file", "../sbin/sendmail"]
        assert state_of(paths) == expected
        if not died:
            break
    assert step > 2
