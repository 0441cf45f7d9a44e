from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded, watched
from tests.support.queues import make_home

from pyqmail.queue import journal_use
from pyqmail.queue.journal import WORTH_A_JOURNAL, Journal, discard, read_frames
from pyqmail.queue.journal_file import BLOCK, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 20  # seconds

SIZE = 4 * BLOCK  # a segment: three small frames

ONE = [Entry(7, b"Subject: x\n\nhello\n", b"Fsue@example.net\0Tjoe@example.org\0")]
HUGE = [Entry(8, bytes(SIZE), b"F\0")]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")
    return make_home(str(tmp_path / "home")) + "/queue"


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def unmade(queue: str, complaints: list[str]) -> Iterator[Journal]:
    journal = Journal(queue, complaints.append)
    yield journal
    journal.close()


@pytest.fixture
def journal(unmade: Journal) -> Journal:
    unmade.make(SIZE)
    return unmade


def publish(journal: Journal, *, times: int = 1) -> None:
    for _ in range(times):
        assert journal.append(ONE)
        journal.published()


def in_thread(work: threading.Thread) -> threading.Thread:
    work.start()
    return work


# Before it is made.


def test_a_file_system_that_one_call_does_not_make_durable_gets_no_journal(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"fuse")

    with pytest.raises(OSError, match="not supported"):
        Journal(queue, print)


def test_nothing_is_appended_before_it_is_made(unmade: Journal, queue: str) -> None:
    assert not unmade.takes(1)
    assert not unmade.append(ONE)
    assert os.listdir(f"{queue}/journal") == []


def test_it_is_in_use_before_it_takes_anything(unmade: Journal, queue: str) -> None:
    seen = []

    def look(_call: str, _arguments: object) -> None:
        seen.append(unmade.append(ONE))

    with watched(look):
        unmade.make(SIZE)

    assert not any(seen)
    assert unmade.takes(1)
    assert journal_use.is_used(queue)
    assert not journal_use.awaits_recovery(queue)


def test_making_it_syncs_the_names_of_the_segments(unmade: Journal, queue: str) -> None:
    with recorded() as calls:
        unmade.make(SIZE)

    made = [index for index, call in enumerate(calls) if call[0] == "create"]
    assert len(made) == 3, "two segments and the file that says so"
    assert ("sync_directory", f"{queue}/journal") in calls[made[-1] :]


def test_a_failure_while_it_is_made_leaves_it_unmade(unmade: Journal) -> None:
    with failing(errno.ENOSPC, 0, on="write"), pytest.raises(OSError, match="No space"):
        unmade.make(SIZE)

    assert not unmade.takes(1)
    assert not unmade.append(ONE)


# Appending.


def test_what_was_appended_counts(journal: Journal, queue: str) -> None:
    publish(journal, times=2)

    assert read_frames(queue) == {1: ONE, 2: ONE}
    assert journal_use.kernel_remembers(queue, 2)


def test_what_was_appended_counts_in_both_segments(journal: Journal, queue: str) -> None:
    publish(journal, times=6)

    assert list(read_frames(queue)) == [1, 2, 3, 4, 5, 6]


def test_nothing_is_appended_while_both_segments_are_full(journal: Journal, queue: str) -> None:
    publish(journal, times=6)

    assert not journal.append(ONE)
    assert journal.takes(1), "it will have room again"
    assert len(read_frames(queue)) == 6


def test_after_a_checkpoint_there_is_room_again(journal: Journal, queue: str) -> None:
    publish(journal, times=6)

    journal.checkpoint()
    publish(journal, times=3)

    assert list(read_frames(queue)) == [4, 5, 6, 7, 8, 9]


def test_a_batch_larger_than_a_segment_is_not_taken(journal: Journal, queue: str) -> None:
    assert not journal.append(HUGE)
    assert not journal.append(HUGE)

    journal.checkpoint()
    publish(journal)
    assert list(read_frames(queue)) == [1]


@pytest.mark.parametrize("call", ["write_at", "sync_contents"])
def test_after_a_failure_nothing_is_appended_and_what_counts_goes_on(
    journal: Journal, queue: str, complaints: list[str], call: str
) -> None:
    publish(journal)

    with failing(errno.EIO, 0, on=call):
        assert not journal.append(ONE)

    assert not journal.append(ONE)
    assert not journal.takes(1)
    assert read_frames(queue)[1] == ONE
    assert complaints == [
        "alert: unable to write the journal, going on without: input/output error"
    ]


def test_a_failure_to_note_the_last_frame_is_one_too(
    journal: Journal, complaints: list[str]
) -> None:
    publish(journal)

    with failing(errno.EIO, 1, on="write_at"):
        assert not journal.append(ONE)

    assert not journal.takes(1)
    assert len(complaints) == 1


# Checkpoints.


def test_a_segment_is_cleared_only_after_all_files_survive(journal: Journal, queue: str) -> None:
    publish(journal)

    with recorded() as calls:
        journal.checkpoint()

    assert [call for call, *_ in calls] == [
        "sync_file_system",
        "sync",
        "write_at",
        "sync_contents",
    ]
    assert read_frames(queue) == {}


def test_a_checkpoint_clears_the_older_segment(journal: Journal, queue: str) -> None:
    publish(journal, times=4)

    journal.checkpoint()

    assert list(read_frames(queue)) == [4]


def test_what_is_appended_during_a_checkpoint_goes_on_counting(
    journal: Journal, queue: str
) -> None:
    publish(journal)

    def append_another(call: str, _arguments: object) -> None:
        if call == "sync_file_system":
            publish(journal)

    with watched(append_another):
        journal.checkpoint()

    assert list(read_frames(queue)) == [2]


def test_a_checkpoint_waits_until_messages_have_their_names(journal: Journal, queue: str) -> None:
    assert journal.append(ONE)
    synced = threading.Event()
    waiting = threading.Event()
    wait_for = journal._changed.wait_for  # noqa: SLF001  to know when it waits, without sleeping

    def wait(*arguments: object) -> bool:
        waiting.set()
        return wait_for(*arguments)  # type: ignore[arg-type]

    journal._changed.wait_for = wait  # type: ignore[assignment]  # noqa: SLF001

    with watched(lambda call, _arguments: synced.set() if call == "sync_file_system" else None):
        thread = in_thread(threading.Thread(target=journal.checkpoint))
        assert waiting.wait(PATIENCE)
        with journal._changed:  # noqa: SLF001  so it has let go of the lock, and waits
            too_early = synced.is_set()
        journal.published()
        thread.join(PATIENCE)

    assert not too_early
    assert synced.is_set()
    assert read_frames(queue) == {}


def test_a_checkpoint_does_not_wait_for_messages_in_the_other_segment(
    journal: Journal, queue: str
) -> None:
    publish(journal, times=3)
    assert journal.append(ONE)

    journal.checkpoint()

    journal.published()
    assert list(read_frames(queue)) == [4]


def test_a_failed_append_holds_no_checkpoint_up(journal: Journal, queue: str) -> None:
    publish(journal)
    with failing(errno.EIO, 0, on="sync_contents"):
        journal.append(ONE)

    journal.checkpoint()

    assert read_frames(queue) == {}


def test_a_checkpoint_of_an_empty_journal_clears_nothing_that_comes(
    journal: Journal, queue: str
) -> None:
    journal.checkpoint()
    publish(journal)

    assert list(read_frames(queue)) == [1]


@pytest.mark.parametrize("step", range(3))
def test_after_a_failed_checkpoint_everything_counts(
    journal: Journal, queue: str, step: int
) -> None:
    publish(journal, times=4)

    with failing(errno.EIO, step), pytest.raises(OSError, match="Input/output error"):
        journal.checkpoint()

    assert list(read_frames(queue)) == [1, 2, 3, 4]
    assert journal_use.is_used(queue)


# The end.


def test_empty_leaves_nothing_that_counts_and_says_so_last(journal: Journal, queue: str) -> None:
    publish(journal, times=4)

    with recorded() as calls:
        journal.empty()

    assert read_frames(queue) == {}
    assert not journal_use.is_used(queue)
    assert [call for call, *_ in calls[-2:]] == ["unlink", "sync_directory"]
    assert [call for call, *_ in calls].count("sync_file_system") == 2


def test_after_a_kill_everything_appended_counts(queue: str) -> None:
    killed = Journal(queue, print)
    killed.make(SIZE)
    publish(killed, times=4)

    killed.close()  # what the kernel does; no more is done for it

    assert list(read_frames(queue)) == [1, 2, 3, 4]
    assert journal_use.kernel_remembers(queue, 4)


def test_discard_makes_nothing_count_durably_before_it_says_so(
    journal: Journal, queue: str
) -> None:
    publish(journal, times=4)

    with recorded() as calls:
        discard(queue)

    assert read_frames(queue) == {}
    assert not journal_use.is_used(queue)
    assert [call for call, *_ in calls] == [
        *("write_at", "sync_contents", "write_at", "sync_contents"),
        *("unlink", "sync_directory"),
    ]


def test_a_journal_without_segments_is_discarded(queue: str) -> None:
    discard(queue)

    assert read_frames(queue) == {}


# Kept by its thread.


def test_it_is_made_when_it_is_worth_it_and_empty_in_the_end(
    unmade: Journal, queue: str, complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = threading.Event()
    make = unmade.make

    def make_small() -> None:
        make(SIZE)
        made.set()

    monkeypatch.setattr(unmade, "make", make_small)
    keeper = in_thread(threading.Thread(target=unmade.keep))

    assert not unmade.takes(WORTH_A_JOURNAL - 1)
    too_early = made.is_set() or os.listdir(f"{queue}/journal")
    unmade.takes(1)
    assert made.wait(PATIENCE)
    publish(unmade, times=3)
    counted = list(read_frames(queue))
    unmade.end()
    keeper.join(PATIENCE)

    assert not too_early
    assert counted == [1, 2, 3]
    assert read_frames(queue) == {}
    assert not journal_use.is_used(queue)
    assert complaints == []


def test_a_process_that_hardly_gets_mail_makes_nothing(
    unmade: Journal, queue: str, complaints: list[str]
) -> None:
    keeper = in_thread(threading.Thread(target=unmade.keep))
    unmade.takes(WORTH_A_JOURNAL - 1)

    unmade.end()
    keeper.join(PATIENCE)

    assert os.listdir(f"{queue}/journal") == []
    assert complaints == []


def test_the_thread_makes_room_when_a_segment_is_full(
    unmade: Journal, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, checkpointed = unmade.make, threading.Event()
    monkeypatch.setattr(unmade, "make", lambda: make(SIZE))
    checkpoint = unmade.checkpoint

    def checkpoint_and_tell() -> None:
        checkpoint()
        checkpointed.set()

    monkeypatch.setattr(unmade, "checkpoint", checkpoint_and_tell)
    unmade.takes(WORTH_A_JOURNAL)
    unmade.make()  # so that there is no moment without it
    monkeypatch.setattr(unmade, "make", lambda: None)
    keeper = in_thread(threading.Thread(target=unmade.keep))

    publish(unmade, times=4)
    assert checkpointed.wait(PATIENCE)
    counted = list(read_frames(queue))
    unmade.end()
    keeper.join(PATIENCE)

    assert counted == [4]


@pytest.mark.parametrize("call", ["sync_file_system", "sync", "write_at"])
def test_a_failing_checkpoint_ends_the_thread_and_everything_counts(
    unmade: Journal,
    queue: str,
    complaints: list[str],
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    unmade.takes(WORTH_A_JOURNAL)
    unmade.make(SIZE)
    monkeypatch.setattr(unmade, "make", lambda: None)
    publish(unmade, times=4)

    with failing(errno.EIO, 0, on=call):
        unmade.keep()  # ends by itself: a segment is full

    assert not unmade.takes(1)
    assert not unmade.append(ONE)
    assert list(read_frames(queue)) == [1, 2, 3, 4]
    assert journal_use.is_used(queue)
    assert journal_use.is_in_doubt(queue) == (call != "write_at")
    assert unmade.needs_recovery
    assert len(complaints) == 1


@pytest.mark.parametrize("ends", [False, True])
def test_a_failing_checkpoint_calls_for_the_end_unless_it_is_the_end(
    queue: str, complaints: list[str], monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    calls: list[str] = []
    journal = Journal(queue, complaints.append, lambda: calls.append("called"))
    journal.takes(WORTH_A_JOURNAL)
    journal.make(SIZE)
    monkeypatch.setattr(journal, "make", lambda: None)
    monkeypatch.setattr(journal, "_is_worth_making", lambda: True)
    publish(journal, times=1 if ends else 4)
    if ends:
        journal.end()

    with failing(errno.EIO, 0, on="sync_file_system"):
        journal.keep()

    journal.close()
    assert journal.needs_recovery
    assert calls == ([] if ends else ["called"])


def test_a_journal_that_cannot_be_made_is_told_once(
    unmade: Journal, queue: str, complaints: list[str]
) -> None:
    unmade.takes(WORTH_A_JOURNAL)

    with failing(errno.ENOSPC, 0, on="write"):
        unmade.keep()

    assert not unmade.takes(1)
    assert os.listdir(f"{queue}/journal") == []
    assert len(complaints) == 1
    assert "out of disk space" in complaints[0]


def test_nothing_is_appended_after_the_end(journal: Journal, queue: str) -> None:
    # What keeps it may have emptied it, and said that nobody need look into it.
    publish(journal)
    journal.end()

    assert not journal.append(ONE)

    assert list(read_frames(queue)) == [1]


def test_without_memory_for_a_frame_its_files_are_synced_and_no_checkpoint_waits(
    journal: Journal, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(journal)

    def fail(*_arguments: object) -> bytes:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("pyqmail.queue.journal_file.encode_frame", fail)
        assert not journal.append(ONE)

    journal.checkpoint()  # would wait for ever
    publish(journal)
    assert list(read_frames(queue)) == [3]
