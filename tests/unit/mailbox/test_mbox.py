from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded
from tests.support.messages import MESSAGE, message_file

from pyqmail.errors import TransientFailure
from pyqmail.mailbox import mbox

if TYPE_CHECKING:
    from pathlib import Path

HEAD = b"From s@example.net Thu Jan 01 00:00:00 1998\n"
OLD = b"From old\n\nold\n\n"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "Mailbox"


def delivered(box: Path, text: bytes) -> bytes:
    mbox.deliver(str(box), HEAD, message_file(text))
    return box.read_bytes().removeprefix(HEAD)


def test_a_new_mbox_is_private(box: Path) -> None:
    mbox.deliver(str(box), HEAD, message_file())

    assert stat.S_IMODE(box.stat().st_mode) == 0o600


def test_an_entry_is_added_behind_what_is_there(box: Path) -> None:
    box.write_bytes(OLD)

    mbox.deliver(str(box), HEAD, message_file())

    assert box.read_bytes() == OLD + HEAD + MESSAGE + b"\n"


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (b"", b"\n"),
        (b"\n", b"\n\n"),
        (b"unfinished", b"unfinished\n\n"),
        (b"From x\n", b">From x\n\n"),
        (b"a\n>>From x\n", b"a\n>>>From x\n\n"),
        (b"a\nFrom ", b"a\n>From \n\n"),
        (b">From", b">From\n\n"),
        (b"a From b\n", b"a From b\n\n"),
        (b"Fromage\nfrom x\n", b"Fromage\nfrom x\n\n"),
        (b"a\r\nFrom x\r\n", b"a\r\n>From x\r\n\n"),
    ],
)
def test_lines_that_could_begin_an_entry_are_quoted(box: Path, text: bytes, entry: bytes) -> None:
    assert delivered(box, text) == entry


def test_a_line_may_be_longer_than_any_buffer(box: Path) -> None:
    text = b">" * 300_000 + b"From x" * 50_000

    assert delivered(box, text) == b">" + text + b"\n\n"


def test_a_small_message_is_written_at_once(box: Path) -> None:
    with recorded() as calls:
        mbox.deliver(str(box), HEAD, message_file())

    assert [call for call, *_ in calls] == ["append", "write", "sync", "sync_directory"]


@pytest.mark.parametrize("call", ["write", "sync"])
def test_after_a_failure_the_file_is_as_it_was(box: Path, call: str) -> None:
    box.write_bytes(OLD)

    with failing(errno.ENOSPC, 0, on=call), pytest.raises(TransientFailure) as caught:
        mbox.deliver(str(box), HEAD, message_file())

    assert caught.value.text == b"Unable to write %b: out of disk space. (#4.3.0)" % bytes(box)
    assert box.read_bytes() == OLD


def test_a_large_message_is_cut_off_again_when_its_second_write_fails(box: Path) -> None:
    box.write_bytes(OLD)

    with failing(errno.ENOSPC, 1, on="write"), pytest.raises(TransientFailure):
        mbox.deliver(str(box), HEAD, message_file(b"line\n" * 1_000_000))

    assert box.read_bytes() == OLD


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(TransientFailure) as caught:
        mbox.deliver(str(tmp_path), HEAD, message_file())

    assert caught.value.text == b"Unable to open %b: is a directory. (#4.2.1)" % bytes(tmp_path)


def test_a_message_that_cannot_be_read_leaves_the_file_as_it_was(box: Path, tmp_path: Path) -> None:
    box.write_bytes(OLD)

    with pytest.raises(TransientFailure) as caught:
        mbox.deliver(str(box), HEAD, os.open(tmp_path, os.O_RDONLY))

    assert caught.value.text == b"Unable to read message: is a directory. (#4.3.0)"
    assert box.read_bytes() == OLD


def test_a_file_that_stays_locked_is_left_alone(box: Path) -> None:
    box.write_bytes(OLD)
    other = os.open(box, os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)

    with pytest.raises(TransientFailure) as caught:
        mbox.deliver(str(box), HEAD, message_file(), lock_timeout=0.01)

    assert caught.value.text == b"File has been locked for 30 seconds straight. (#4.3.0)"
    assert box.read_bytes() == OLD
