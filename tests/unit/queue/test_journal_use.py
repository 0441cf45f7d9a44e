from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded

from pyqmail.queue import journal_use
from pyqmail.queue.journal_use import Use

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def queue(tmp_path: Path) -> str:
    (tmp_path / "journal").mkdir()
    return str(tmp_path)


def reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyqmail.queue.journal_use.boot_id", lambda: b"another-boot")


def test_a_journal_that_nobody_uses_is_not_waited_for(queue: str) -> None:
    assert not journal_use.is_used(queue)
    assert not journal_use.awaits_recovery(queue)
    assert not journal_use.kernel_remembers(queue, 0)


def test_a_queue_without_the_folder_has_no_journal_in_use(tmp_path: Path) -> None:
    assert not journal_use.is_used(str(tmp_path))
    assert not journal_use.awaits_recovery(str(tmp_path))


def test_use_is_durable_with_its_name_before_anything_is_appended(queue: str) -> None:
    with recorded() as calls:
        Use(queue).close()

    names = [call for call, *_ in calls]
    assert names == ["unlink", "create", "write", "sync", "sync_directory"]
    assert calls[-1] == ("sync_directory", f"{queue}/journal")
    assert journal_use.is_used(queue)


def test_nobody_waits_while_the_machine_stays_up(queue: str) -> None:
    Use(queue).close()

    assert not journal_use.awaits_recovery(queue)
    assert journal_use.kernel_remembers(queue, 0)


def test_the_last_frame_is_known_and_not_synced(queue: str) -> None:
    use = Use(queue)

    with recorded() as calls:
        use.note(9)
        use.note(2**63)

    use.close()
    assert [call for call, *_ in calls] == ["write_at", "write_at"]
    assert journal_use.kernel_remembers(queue, 2**63)
    assert journal_use.kernel_remembers(queue, 9), "the next one was noted and not appended"
    assert not journal_use.kernel_remembers(queue, 2**63 + 1)


def test_after_a_failed_sync_everybody_waits_for_a_recovery(queue: str) -> None:
    Use(queue).close()

    journal_use.doubt(queue)

    assert journal_use.is_in_doubt(queue)
    assert journal_use.awaits_recovery(queue)
    assert not journal_use.kernel_remembers(queue, 0)


def test_a_disk_that_takes_no_doubt_is_no_error(queue: str) -> None:
    Use(queue).close()

    with failing(errno.EIO, 0):
        journal_use.doubt(queue)

    assert journal_use.is_used(queue)
    assert not journal_use.is_in_doubt(queue)


def test_another_boot_remembers_nothing(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use = Use(queue)
    use.note(9)
    use.close()

    reboot(monkeypatch)

    assert journal_use.awaits_recovery(queue)
    assert not journal_use.kernel_remembers(queue, 9)


@pytest.mark.parametrize("kept", [b"", b"\n", bytes(58), b"0123", b"0123 \n", b"0123 xyz\n"])
def test_a_torn_file_means_that_nothing_is_remembered(queue: str, kept: bytes) -> None:
    with open(f"{queue}/journal/use", "wb") as file:
        file.write(kept)

    assert journal_use.is_used(queue)
    assert journal_use.awaits_recovery(queue)
    assert not journal_use.kernel_remembers(queue, 0)


def test_a_number_that_was_not_written_whole_is_not_remembered(queue: str) -> None:
    Use(queue).close()
    path = f"{queue}/journal/use"
    os.truncate(path, os.stat(path).st_size - 21)

    assert not journal_use.kernel_remembers(queue, 0)


def test_use_replaces_what_an_earlier_one_left(queue: str) -> None:
    with open(f"{queue}/journal/use", "wb") as file:
        file.write(b"old 00000000000000000099\n" * 9)

    Use(queue).close()

    assert journal_use.kernel_remembers(queue, 0)


def test_forget_is_durable(queue: str) -> None:
    Use(queue).close()

    with recorded() as calls:
        journal_use.forget(queue)

    assert not journal_use.is_used(queue)
    assert [call for call, *_ in calls] == ["unlink", "sync_directory"]


def test_forgetting_twice_is_no_failure(queue: str) -> None:
    journal_use.forget(queue)

    journal_use.forget(queue)

    assert not journal_use.is_used(queue)


@pytest.mark.parametrize("step", range(5))
def test_a_use_that_cannot_be_made_is_told(queue: str, step: int) -> None:
    with failing(errno.EIO, step), pytest.raises(OSError, match="Input/output error"):
        Use(queue)
