from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.control.launchers import is_ours

if TYPE_CHECKING:
    from pathlib import Path


def test_a_link_to_the_launcher_is_ours(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "forward").symlink_to("pyqmail")
    (tmp_path / "bin" / "except").symlink_to("/somewhere/bin/pyqmail")

    assert is_ours(str(tmp_path), "forward")
    assert is_ours(str(tmp_path), "except")


def test_another_program_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "forward").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "except").symlink_to("/usr/bin/true")
    (tmp_path / "bin" / "preline").mkdir()

    assert not is_ours(str(tmp_path), "forward")
    assert not is_ours(str(tmp_path), "except")
    assert not is_ours(str(tmp_path), "preline")


def test_a_program_that_is_not_there_is_ours(tmp_path: Path) -> None:
    assert is_ours(str(tmp_path), "forward")
