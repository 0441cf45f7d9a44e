from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.mailbox.listing import STALE_AFTER, list_messages, remove_stale_drafts
from pyqmail.mailbox.maildir import make_maildir

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000


@pytest.fixture
def box(tmp_path: Path) -> Path:
    make_maildir(str(tmp_path / "Maildir"))
    return tmp_path / "Maildir"


def put(path: Path, time: int) -> None:
    path.touch()
    os.utime(path, (time, time))


def test_messages_are_listed_in_the_order_in_which_they_came(box: Path) -> None:
    put(box / "cur" / "z:2,S", NOW - 20)
    put(box / "new" / "a", NOW - 10)
    put(box / "cur" / "b:2,", NOW - 30)

    entries = list_messages(str(box), NOW)

    assert [(entry.name, entry.time) for entry in entries] == [
        ("cur/b:2,", NOW - 30),
        ("cur/z:2,S", NOW - 20),
        ("new/a", NOW - 10),
    ]


def test_a_message_of_this_second_and_a_hidden_file_are_left_for_later(box: Path) -> None:
    put(box / "new" / "a", NOW)
    put(box / "new" / ".b", NOW - 10)

    assert list_messages(str(box), NOW) == []


def test_only_what_no_deliverer_still_writes_is_removed_from_tmp(box: Path) -> None:
    put(box / "tmp" / "old", NOW - STALE_AFTER - 1)
    put(box / "tmp" / "young", NOW - STALE_AFTER)

    remove_stale_drafts(str(box), NOW)

    assert os.listdir(box / "tmp") == ["young"]
