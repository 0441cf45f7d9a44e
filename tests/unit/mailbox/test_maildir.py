from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded
from tests.support.messages import MESSAGE, message_file

from pyqmail.errors import TransientFailure
from pyqmail.mailbox import maildir

if TYPE_CHECKING:
    from pathlib import Path

HEAD = b"Return-Path: <s@example.net>\n"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    maildir.make_maildir(str(tmp_path / "Maildir"))
    return tmp_path / "Maildir"


def test_a_maildir_has_three_private_folders(box: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [box, *box.iterdir()]}

    assert modes == {"Maildir": 0o700, "tmp": 0o700, "new": 0o700, "cur": 0o700}


def test_a_delivered_message_lies_in_new_and_only_there(box: Path) -> None:
    maildir.deliver(str(box), HEAD, message_file())

    (message,) = (box / "new").iterdir()
    assert message.read_bytes() == HEAD + MESSAGE
    assert stat.S_IMODE(message.stat().st_mode) == 0o600
    assert list((box / "tmp").iterdir()) == []


def test_a_message_larger_than_one_read_is_whole(box: Path) -> None:
    text = b"0123456789\n" * 100_000

    maildir.deliver(str(box), HEAD, message_file(text))

    (message,) = (box / "new").iterdir()
    assert message.read_bytes() == HEAD + text


def test_a_message_is_synced_before_it_is_shown_and_new_after_it(box: Path) -> None:
    with recorded() as calls:
        maildir.deliver(str(box), HEAD, message_file())

    assert [call for call, *_ in calls] == ["create", "write", "sync", "rename", "sync_directory"]
    assert calls[-1][1] == f"{box}/new"


def test_a_folder_that_is_not_there_is_no_maildir(tmp_path: Path) -> None:
    with pytest.raises(TransientFailure) as caught:
        maildir.deliver(str(tmp_path / "none"), HEAD, message_file())

    assert caught.value.text == b"Unable to chdir to maildir. (#4.2.1)"


def test_a_maildir_without_tmp_is_a_temporary_error(box: Path) -> None:
    (box / "tmp").rmdir()

    with pytest.raises(TransientFailure) as caught:
        maildir.deliver(str(box), HEAD, message_file())

    assert caught.value.text == b"Temporary error on maildir delivery. (#4.3.0)"


def test_a_message_that_cannot_be_read_leaves_nothing(box: Path) -> None:
    with pytest.raises(TransientFailure) as caught:
        maildir.deliver(str(box), HEAD, os.open(box, os.O_RDONLY))

    assert caught.value.text == b"Unable to read message. (#4.3.0)"
    assert list((box / "tmp").iterdir()) == []


@pytest.mark.parametrize("call", ["create", "write", "sync", "rename", "sync_directory"])
def test_whatever_fails_nothing_is_left_and_the_failure_is_transient(box: Path, call: str) -> None:
    with failing(errno.ENOSPC, 0, on=call), pytest.raises(TransientFailure) as caught:
        maildir.deliver(str(box), HEAD, message_file())

    assert caught.value.text == b"Temporary error on maildir delivery. (#4.3.0)"
    assert [path for path in box.rglob("*") if path.is_file()] == []


def test_a_name_that_is_taken_is_not_used(box: Path) -> None:
    with failing(errno.EEXIST, 0, on="create"):
        maildir.deliver(str(box), HEAD, message_file())

    assert len(list((box / "new").iterdir())) == 1


def test_a_draft_of_yesterday_is_not_shown(box: Path) -> None:
    draft = maildir.write_draft(str(box), HEAD, message_file())
    maildir.sync_draft(draft)
    draft.begun -= maildir.MAX_AGE + 1

    with pytest.raises(TransientFailure) as caught:
        maildir.publish(draft)

    assert caught.value.text == b"Timeout on maildir delivery. (#4.3.0)"
    assert list((box / "new").iterdir()) == []


def test_a_unique_name_is_one_component_without_a_colon() -> None:
    name = maildir.unique_name(1_700_000_000.25, 42, 7, b"\1\2", "a/b:c")

    assert name == "1700000000.M250000P42Q7R0102.a\\057b\\072c"
