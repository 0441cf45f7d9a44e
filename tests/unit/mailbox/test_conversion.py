from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import dies_at, failing, recorded

from pyqmail.errors import TransientFailure
from pyqmail.mailbox.conversion import from_line, move_to_mbox
from pyqmail.mailbox.maildir import make_maildir

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000
OLD = b"From old\n\nold\n\n"
ENTRY = b"From s@x Sun Sep 09 01:46:40 2001\nReturn-Path: <s@x>\n\nunfinished\n\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # move_to_mbox() goes elsewhere
    make_maildir(str(tmp_path / "Maildir"))
    message = tmp_path / "Maildir" / "new" / "a"
    message.write_bytes(b"Return-Path: <s@x>\n\nunfinished")
    os.utime(message, (10**9, 10**9))
    (tmp_path / "Mailbox").write_bytes(OLD)
    return tmp_path


def move(home: Path) -> list[bytes]:
    return move_to_mbox(f"{home}/Maildir", f"{home}/Mailbox", f"{home}/Mailbox.tmp", NOW)


def test_a_message_moves_whole_although_its_last_line_is_unfinished(home: Path) -> None:
    assert move(home) == []

    assert (home / "Mailbox").read_bytes() == OLD + ENTRY
    assert os.listdir(home / "Maildir" / "new") == []


def test_a_message_that_cannot_be_removed_is_warned_of(home: Path) -> None:
    with failing(errno.EACCES, 1, on="unlink"):  # the first is of Mailbox.tmp
        warnings = move(home)

    assert warnings == [b"$MAILDIR/new/a will be delivered twice; unable to unlink: access denied"]


@pytest.mark.parametrize(
    ("line", "sender"),
    [
        (b"Return-Path: <>\n", b"MAILER-DAEMON"),
        (b"Return-Path: <a\tb@x>\n", b"a-b@x"),
        (b"Return-Path: <s@x>", b"XXX"),
        (b"Subject: x\n", b"XXX"),
        (b"", b"XXX"),
    ],
)
def test_the_sender_comes_from_the_return_path(line: bytes, sender: bytes) -> None:
    assert from_line(line, 0) == b"From %b Thu Jan 01 00:00:00 1970\n" % sender


def test_whatever_fails_the_message_is_somewhere(home: Path) -> None:
    for step in range(9):
        with failing(errno.EIO, step):
            try:
                move(home)
            except TransientFailure:
                assert (home / "Mailbox").read_bytes() in {OLD, OLD + ENTRY}

        assert is_somewhere(home)


def test_wherever_it_is_killed_the_message_is_somewhere(home: Path) -> None:
    for step in range(9):
        dies_at(step, lambda: move(home))

        assert is_somewhere(home)


def test_a_message_is_removed_only_after_the_mbox_survives_a_power_cut(home: Path) -> None:
    with recorded() as calls:
        move(home)

    order = [call for call, *_ in calls if call != "write"]
    assert order[-4:] == ["sync", "rename", "sync_directory", "unlink"]


def is_somewhere(home: Path) -> bool:
    return (home / "Maildir/new/a").exists() or ENTRY in (home / "Mailbox").read_bytes()
