from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded
from tests.support.messages import message_file

from pyqmail.delivery.batch import deliver_all, is_for_maildirs
from pyqmail.delivery.dotqmail import parse_instructions
from pyqmail.delivery.local import Delivery
from pyqmail.mailbox.maildir import make_maildir

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_maildir(str(tmp_path / "A"))
    make_maildir(str(tmp_path / "B"))
    return tmp_path


def delivery(home: Path, lines: bytes) -> Delivery:
    environ = {b"HOME": bytes(home), b"RPLINE": b"R\n", b"DTLINE": b"D\n", b"UFLINE": b"U\n"}
    return Delivery(message_file(), environ, parse_instructions(lines, forward_only=False))


def count(folder: Path) -> int:
    return len(list((folder / "new").iterdir()))


def drafts(home: Path) -> int:
    return len(list((home / "A/tmp").iterdir())) + len(list((home / "B/tmp").iterdir()))


@pytest.mark.parametrize(
    ("lines", "answer"),
    [(b"./A/\n./B/\n", True), (b"#\n", True), (b"./A/\n./box\n", False), (b"\n", False)],
)
def test_only_deliveries_to_maildirs_alone_can_share_a_batch(
    home: Path, lines: bytes, *, answer: bool
) -> None:
    assert is_for_maildirs(delivery(home, lines)) is answer


def test_a_batch_syncs_each_file_once_and_each_folder_once(home: Path) -> None:
    batch = [delivery(home, b"./A/\n"), delivery(home, b"./A/\n./B/\n"), delivery(home, b"./B/")]

    with recorded() as calls:
        outcomes = deliver_all(batch)

    order = [call for call, *_ in calls]
    assert outcomes == [None, None, None]
    assert (count(home / "A"), count(home / "B")) == (2, 2)
    assert order.count("sync_directory") == 2
    assert order[-2:] == ["sync_directory"] * 2
    assert order.index("rename") > max(i for i, call in enumerate(order) if call == "sync")


def test_a_line_that_fails_fails_its_delivery_alone(home: Path) -> None:
    batch = [delivery(home, b"./A/\n./none/\n./B/\n"), delivery(home, b"./B/\n")]

    first, second = deliver_all(batch)

    assert first is not None
    assert first.text == b"Unable to chdir to maildir. (#4.2.1)"
    assert second is None
    assert (count(home / "A"), count(home / "B")) == (1, 1)


def test_after_a_failed_sync_nothing_of_the_batch_is_shown(home: Path) -> None:
    batch = [delivery(home, b"./A/\n"), delivery(home, b"./B/\n")]

    with failing(errno.EIO, 1, on="sync"):
        outcomes = deliver_all(batch)

    assert all(outcomes)
    assert (count(home / "A"), count(home / "B"), drafts(home)) == (0, 0, 0)


def test_a_rename_that_fails_discards_the_lines_after_it(home: Path) -> None:
    batch = [delivery(home, b"./A/\n./B/\n"), delivery(home, b"./B/\n")]

    with failing(errno.EIO, 0, on="rename"):
        outcomes = deliver_all(batch)

    assert [bool(outcome) for outcome in outcomes] == [True, False]
    assert (count(home / "A"), count(home / "B"), drafts(home)) == (0, 1, 0)


def test_a_folder_that_cannot_be_synced_fails_its_deliveries(home: Path) -> None:
    batch = [delivery(home, b"./A/\n"), delivery(home, b"./B/\n")]

    with failing(errno.EIO, 0, on="sync_directory"):
        outcomes = deliver_all(batch)

    assert [bool(outcome) for outcome in outcomes] == [True, False]
    assert (count(home / "A"), count(home / "B")) == (0, 1)
