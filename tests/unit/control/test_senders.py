from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.files import ControlError
from pyqmail.control.senders import SenderTable

if TYPE_CHECKING:
    from pathlib import Path


def read(home: Path, text: str) -> SenderTable | None:
    (home / "control").mkdir()
    (home / "control/authsenders").write_text(text)
    return SenderTable.read(str(home))


def test_no_file_binds_nobody(tmp_path: Path) -> None:
    assert SenderTable.read(str(tmp_path)) is None


def test_an_empty_file_leaves_each_his_own_name(tmp_path: Path) -> None:
    table = read(tmp_path, "")

    assert table is not None
    assert table.allows(b"joe@example.org", b"Joe@example.org")
    assert table.allows(b"joe", b"")
    assert not table.allows(b"joe", b"joe@example.org")


@pytest.mark.parametrize("line", ["joe", ":a@b", "joe:"])
def test_a_line_that_says_nothing_is_an_error(tmp_path: Path, line: str) -> None:
    with pytest.raises(ControlError):
        read(tmp_path, line + "\n")
