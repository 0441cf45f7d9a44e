from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.concurrency import read_concurrency, read_slot_width

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "control").mkdir()
    (tmp_path / "bin").mkdir()
    return tmp_path


def test_the_limits_are_10_and_20_where_nothing_is_said(home: Path) -> None:
    assert read_concurrency(str(home), "local") == 10
    assert read_concurrency(str(home), "remote") == 20


def test_a_concurrency_above_255_makes_slots_wide_for_that_channel_only(home: Path) -> None:
    (home / "control" / "concurrencyremote").write_text("256\n")

    assert read_slot_width(str(home), "remote") == 2
    assert read_slot_width(str(home), "local") == 1


@pytest.mark.parametrize("name", ["qmail-send", "qmail-rspawn"])
def test_a_replaced_program_is_spoken_to_with_one_byte(home: Path, name: str) -> None:
    (home / "control" / "concurrencyremote").write_text("256\n")
    (home / "bin" / name).write_text("#!/bin/sh\n")

    assert read_slot_width(str(home), "remote") == 1
