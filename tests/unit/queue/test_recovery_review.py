"""Sequences that would break the promise of the journal; see docs/queue.md."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.disk import failing, recorded, watched
from tests.support.queues import make_home, private_roles
from tests.unit.queue.test_recovery import (
    BODY,
    ENTRY,
    ENVELOPE,
    NUMBER,
    OTHER_BODY,
    OTHER_ENVELOPE,
    Scene,
)

from pyqmail.queue.direct import Direct
from pyqmail.queue.journal import Journal
from pyqmail.queue.journal_file import BLOCK, Entry
from pyqmail.queue.outcome import NO_QUEUE, QueueFailure

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 64 * BLOCK


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")
    scene = Scene(make_home(str(tmp_path / "home")))
    monkeypatch.setattr("pyqmail.queue.journal_use.boot_id", lambda: scene.boot)
    return scene


def test_nobody_writes_into_the_queue_himself_while_a_recovery_is_awaited(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    # qmail-queued does not listen yet, so the owner of the queue writes himself. The number of a
    # lost message is free: he may get it, and recovery removes under it what it has not made.
    scene.reboots = True
    scene.journal(ENTRY)
    monkeypatch.setattr("pyqmail.queue.direct.roles_of", private_roles)

    with pytest.raises(QueueFailure) as failure:
        Direct(scene.home)

    assert failure.value.code == NO_QUEUE


def test_a_kill_behind_append_makes_nothing_again_while_the_machine_stays_up(
    scene: Scene,
) -> None:
    # qmail-send works on meanwhile: it may remove a message that recovery has found whole, and
    # a direct writer may get the number before recovery puts our envelope there.
    journal = Journal(f"{scene.home}/queue", print)
    journal.make(SIZE)
    synced = False

    def die(call: str, _arguments: tuple[Any, ...]) -> None:
        nonlocal synced
        if synced:
            raise KeyboardInterrupt  # what follows is not done
        synced = call == "sync_contents"

    with watched(die), suppress(KeyboardInterrupt):
        journal.append([ENTRY])
    journal.close()

    scene.recover()

    assert scene.queued() == {}
    assert scene.complaints == []


def test_a_torn_message_whose_number_was_used_again_is_not_delivered(scene: Scene) -> None:
    # Ours was delivered and removed; the next one got the number, by the journal too. The disk
    # has half of ours, and neither its removal nor anything of the next one.
    scene.reboots = True
    scene.place_message(NUMBER, BODY[:1024], ENVELOPE)
    scene.journal(ENTRY, Entry(NUMBER, OTHER_BODY, OTHER_ENVELOPE))

    scene.recover()

    assert (BODY[:1024], ENVELOPE) not in scene.queued().values()


def test_another_message_does_not_go_to_those_recipients_that_a_torn_envelope_has(
    scene: Scene,
) -> None:
    # What was there before ours survived and was delivered; ours got its number. The disk has
    # the old message, the name of our envelope, and a part of that.
    scene.reboots = True
    scene.place_message(NUMBER, OTHER_BODY, ENVELOPE[: ENVELOPE.index(b"Tann")])
    scene.journal(ENTRY)

    scene.recover()

    assert NUMBER not in scene.queued()


@pytest.mark.parametrize("who", ["checkpoint", "recovery"])
def test_after_a_failed_sync_the_same_files_are_not_trusted(scene: Scene, who: str) -> None:
    # The kernel forgets what it could not write: the pages are clean, and the next sync succeeds.
    scene.place_message(NUMBER, BODY, ENVELOPE)
    scene.journal(ENTRY)
    if who == "checkpoint":
        journal = Journal(f"{scene.home}/queue", print)
        journal.make(SIZE)
        journal.append([ENTRY])
        journal.published()
        with failing(errno.EIO, 0, on="sync_file_system"), pytest.raises(OSError, match="output"):
            journal.checkpoint()
        journal.close()
    else:
        with failing(errno.EIO, 0, on="sync_file_system"):
            assert not scene.recovers()

    with recorded() as calls:
        scene.recover()

    assert [call for call, *_ in calls if call == "create"], "the message is written once more"


@pytest.mark.parametrize("call", ["write_at", "sync_file_system"])
def test_recoveries_that_fail_do_not_make_more_and_more_copies(scene: Scene, call: str) -> None:
    # A bad block in a segment, and supervise, that starts qmail-queued again each second.
    scene.reboots = True
    scene.journal(ENTRY)

    for _ in range(5):
        with failing(errno.EIO, 0, on=call):
            scene.recovers()
    scene.recover()

    assert [message for message, _ in scene.queued().values()] == [BODY]
