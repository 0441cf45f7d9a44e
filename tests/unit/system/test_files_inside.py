"""Opening and giving away files below a folder in which others have their say."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from pyqmail.system import files

if TYPE_CHECKING:
    from pathlib import Path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def give(top: Path, name: str, mode: int) -> None:
    files.give(str(top), name, os.getuid(), os.getgid(), mode)


@pytest.mark.parametrize("name", ["", "folder", "folder/file", "folder/fifo"])
def test_what_is_there_gets_its_mode(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    os.mkfifo(tmp_path / "folder" / "fifo")

    give(tmp_path, name, 0o705)

    assert mode_of(tmp_path / name) == 0o705


def test_set_group_id_stays_when_the_group_changes(tmp_path: Path) -> None:
    (tmp_path / "alias").mkdir()

    give(tmp_path, "alias", 0o2755)

    assert mode_of(tmp_path / "alias") == 0o2755


@pytest.mark.parametrize("name", ["link", "link/file", "away/file"])
def test_no_link_is_followed(tmp_path: Path, name: str) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    outside.mkdir()
    (outside / "file").touch()
    (outside / "file").chmod(0o600)
    (top / "link").symlink_to(outside / "file" if name == "link" else outside)
    (top / "away").symlink_to("../outside")

    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        give(top, name, 0o777)

    assert mode_of(outside / "file") == 0o600


def test_a_file_with_a_second_name_is_not_given_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    os.link(tmp_path / "file", tmp_path / "second")

    with pytest.raises(OSError, match="Too many links"):
        give(tmp_path, "second", 0o666)

    assert mode_of(tmp_path / "file") == 0o600
