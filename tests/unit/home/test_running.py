from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.errors import TransientFailure
from pyqmail.home.running import default_delivery, run_home
from pyqmail.system import files
from pyqmail.system.locks import try_lock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "delivery"),
    [
        (None, "./Mailbox"),
        (b"", "./Mailbox"),
        (b" \n\n", "./Mailbox"),
        (b"./Maildir/\n", "./Maildir/"),
        (b"|dot-forward .forward\n./Mailbox\n", "|dot-forward .forward\n./Mailbox"),
    ],
)
def test_the_default_delivery_is_the_text_of_its_file_else_that_of_rc(
    tmp_path: Path, text: bytes | None, delivery: str
) -> None:
    (tmp_path / "control").mkdir()
    if text is not None:
        (tmp_path / "control" / "defaultdelivery").write_bytes(text)

    assert default_delivery(str(tmp_path)) == delivery


def test_a_home_that_runs_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    lock = files.open_to_append(str(tmp_path / "run" / "qmailctl.lock"), 0o600)
    assert try_lock(lock)
    folder = os.getcwd()

    try:
        with pytest.raises(TransientFailure, match=f"{tmp_path} is running already"):
            run_home(str(tmp_path))
    finally:
        os.chdir(folder)
        os.close(lock)
