from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded, watched
from tests.support.queues import files_in, make_home, private_roles

from pyqmail.errors import TransientFailure
from pyqmail.queue import journal_use, layout
from pyqmail.queue.journal import Journal, read_frames
from pyqmail.queue.journal_file import BLOCK, Entry
from pyqmail.queue.recovery import recover
from pyqmail.system import files

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 64 * BLOCK

NUMBER = 10**15  # no file of this machine has it
BODY = b"Received: (qmail 1 invoked by uid 2); 26 Nov 2026\nSubject: x\n\n" + b"hello\n" * 500
ENVELOPE = b"u2\0p1\0Fsue@example.net\0Tjoe@example.org\0Tann@example.org\0"
ENTRY = Entry(NUMBER, BODY, ENVELOPE)

OTHER_BODY = b"Received: (qmail 3 invoked by uid 4); 26 Nov 2026\nSubject: y\n\n" + b"secret\n" * 9
OTHER_ENVELOPE = b"u4\0p3\0Fbob@example.net\0Teve@example.org\0"


@dataclass
class Scene:
    """A queue whose journal was in use when the machine went down."""

    home: str
    complaints: list[str] = field(default_factory=list)
    boot: bytes = b"first"
    reboots: bool = False  # between the journal and the recovery

    def place(self, name: str, data: bytes) -> None:
        files.write_new_file(f"{self.home}/queue/{name}", data, 0o644)

    def place_message(self, number: int, message: bytes, envelope: bytes) -> None:
        self.place(layout.message_path(number), message)
        self.place_envelope(number, envelope)

    def place_envelope(self, number: int, envelope: bytes) -> None:
        intent = layout.intent_path(number)
        self.place(intent, envelope)
        os.link(f"{self.home}/queue/{intent}", f"{self.home}/queue/{layout.todo_path(number)}")

    def journal(self, *entries: Entry) -> None:
        """Leave a journal as one that was killed, with one frame for each entry."""
        self.boot = b"first"
        journal = Journal(f"{self.home}/queue", self.complaints.append)
        journal.make(SIZE)
        for entry in entries:
            assert journal.append([entry])
            journal.published()
        journal.close()
        if self.reboots:
            self.boot = b"second"

    def recover(self) -> None:
        recover(self.home, private_roles(self.home), self.complaints.append)

    def recovers(self) -> bool:
        """Say whether it does; if not, it must be a TransientFailure."""
        try:
            self.recover()
        except TransientFailure:
            return False
        return True

    def queued(self) -> dict[int, tuple[bytes | None, bytes]]:
        """Return message and envelope of all that qmail-send would see."""
        found = files_in(self.home)
        numbers = [int(name[5:]) for name in found if name.startswith("todo/")]
        return {
            number: (found.get(layout.message_path(number)), found[layout.todo_path(number)])
            for number in numbers
        }

    def is_empty(self) -> bool:
        queue = f"{self.home}/queue"
        return not read_frames(queue) and not journal_use.is_used(queue)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")
    scene = Scene(make_home(str(tmp_path / "home")))
    monkeypatch.setattr("pyqmail.queue.journal_use.boot_id", lambda: scene.boot)
    return scene


@pytest.fixture
def reboot(scene: Scene) -> None:
    """Have the machine come up again between the journal and the recovery."""
    scene.reboots = True


# The message file is whole.


@pytest.mark.usefixtures("reboot")
def test_a_message_that_is_complete_stays_as_it_is(scene: Scene) -> None:
    scene.place_message(NUMBER, BODY, ENVELOPE)
    scene.journal(ENTRY)
    before = files_in(scene.home)

    scene.recover()

    assert files_in(scene.home) == before
    assert scene.complaints == ["recovered: 1 messages in the journal, 0 made again as files"]
    assert scene.is_empty()


@pytest.mark.usefixtures("reboot")
@pytest.mark.parametrize("intent", [None, ENVELOPE, ENVELOPE[:9], b"", OTHER_ENVELOPE])
@pytest.mark.parametrize("todo", [None, ENVELOPE[:9], ENVELOPE + b"Tx\0", b"", OTHER_ENVELOPE])
def test_a_whole_message_gets_its_envelope_again(
    scene: Scene, intent: bytes | None, todo: bytes | None
) -> None:
    scene.place(layout.message_path(NUMBER), BODY)
    if intent is not None:
        scene.place(layout.intent_path(NUMBER), intent)
    if todo is not None:
        scene.place(layout.todo_path(NUMBER), todo)
    scene.journal(ENTRY)

    scene.recover()

    assert files_in(scene.home) == {
        layout.message_path(NUMBER): BODY,
        layout.intent_path(NUMBER): ENVELOPE,
        layout.todo_path(NUMBER): ENVELOPE,
    }
    assert scene.is_empty()


@pytest.mark.usefixtures("reboot")
def test_an_envelope_that_is_put_back_survives_before_the_journal_is_empty(scene: Scene) -> None:
    scene.place(layout.message_path(NUMBER), BODY)
    scene.journal(ENTRY)

    with recorded() as calls:
        scene.recover()

    names = [call for call, *_ in calls]
    linked, synced = names.index("link"), names.index("sync_file_system")
    flushed = names.index("sync", synced)
    assert linked < synced < flushed < names.index("write_at")


# The folder.


def test_the_folder_is_made_with_its_mode_whatever_the_umask_is(scene: Scene) -> None:
    # qmail-send starts at the same time, and must not find one that it cannot look into.
    folder = f"{scene.home}/queue/journal"
    os.rmdir(folder)
    modes: list[int] = []
    previous = os.umask(0o077)
    try:
        with watched(lambda _call, _arguments: modes.append(mode_of(folder))):
            scene.recover()
        left = os.umask(0o077)
    finally:
        os.umask(previous)

    assert set(modes) == {0, 0o750}
    assert left == 0o077


def mode_of(folder: str) -> int:
    return os.stat(folder).st_mode & 0o7777 if os.path.isdir(folder) else 0


# It is not.


@pytest.mark.usefixtures("reboot")
@pytest.mark.parametrize(
    "kept",
    [
        None,
        b"",
        BODY[:1],
        BODY[: len(BODY) // 2],
        bytes(len(BODY)),
        BODY[:512] + bytes(512) + BODY[1024:],
        BODY[:1024] + bytes(len(BODY) - 1024),
    ],
    ids=["missing", "empty", "a byte", "half", "zeros", "a sector of zeros", "zeros at the end"],
)
@pytest.mark.parametrize("todo", [None, ENVELOPE, ENVELOPE[:9]])
def test_a_lost_message_gets_a_new_number_and_leaves_nothing_under_the_old(
    scene: Scene, kept: bytes | None, todo: bytes | None
) -> None:
    if kept is not None:
        scene.place(layout.message_path(NUMBER), kept)
    if todo is not None:
        scene.place_envelope(NUMBER, todo)
    scene.journal(ENTRY)

    scene.recover()

    ((number, content),) = scene.queued().items()
    assert number != NUMBER
    assert content == (BODY, ENVELOPE)
    assert not [name for name in files_in(scene.home) if str(NUMBER) in name]
    assert scene.is_empty()


@pytest.mark.usefixtures("reboot")
def test_what_is_left_of_a_lost_message_goes_only_when_it_is_made_again(scene: Scene) -> None:
    scene.place_message(NUMBER, BODY[:100], ENVELOPE)
    scene.journal(ENTRY)

    with recorded() as calls:
        scene.recover()

    message = f"{scene.home}/queue/{layout.message_path(NUMBER)}"
    todo = f"{scene.home}/queue/{layout.todo_path(NUMBER)}"
    made = calls.index(("sync_directory", f"{scene.home}/queue/todo"))
    assert made < calls.index(("unlink", todo)) < calls.index(("unlink", message))


@pytest.mark.usefixtures("reboot")
def test_the_message_that_has_the_number_now_does_not_go_to_our_recipients(scene: Scene) -> None:
    scene.place_message(NUMBER, OTHER_BODY, ENVELOPE)
    scene.journal(ENTRY)

    scene.recover()

    ((number, content),) = scene.queued().items()
    assert number != NUMBER
    assert content == (BODY, ENVELOPE)


@pytest.mark.usefixtures("reboot")
def test_the_message_that_has_the_number_now_keeps_its_own_recipients(scene: Scene) -> None:
    scene.place_message(NUMBER, OTHER_BODY, OTHER_ENVELOPE)
    scene.journal(ENTRY)

    scene.recover()

    queued = scene.queued()
    assert queued.pop(NUMBER) == (OTHER_BODY, OTHER_ENVELOPE)
    assert list(queued.values()) == [(BODY, ENVELOPE)]


@pytest.mark.usefixtures("reboot")
def test_a_longer_message_that_begins_like_ours_is_another(scene: Scene) -> None:
    scene.place_message(NUMBER, BODY + b"more\n", OTHER_ENVELOPE)
    scene.journal(ENTRY)

    scene.recover()

    queued = scene.queued()
    assert queued.pop(NUMBER) == (BODY + b"more\n", OTHER_ENVELOPE)
    assert list(queued.values()) == [(BODY, ENVELOPE)]


@pytest.mark.usefixtures("reboot")
def test_only_the_last_message_that_had_a_number_is_made_again(scene: Scene) -> None:
    scene.journal(ENTRY, Entry(NUMBER, OTHER_BODY, OTHER_ENVELOPE))

    scene.recover()

    assert list(scene.queued().values()) == [(OTHER_BODY, OTHER_ENVELOPE)]


@pytest.mark.usefixtures("reboot")
def test_the_last_message_under_a_number_does_not_go_to_recipients_of_the_one_before(
    scene: Scene,
) -> None:
    scene.place_message(NUMBER, OTHER_BODY, ENVELOPE)
    scene.journal(ENTRY, Entry(NUMBER, OTHER_BODY, OTHER_ENVELOPE))

    scene.recover()

    assert scene.queued() == {NUMBER: (OTHER_BODY, OTHER_ENVELOPE)}


@pytest.mark.usefixtures("reboot")
def test_more_messages_than_one_batch_are_all_made_again(scene: Scene) -> None:
    entries = [Entry(NUMBER + i, b"%d" % i, b"F\0T%d\0" % i) for i in range(60)]
    scene.journal(*entries)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyqmail.queue.recovery._BATCH", 7)
        scene.recover()

    assert sorted(scene.queued().values()) == sorted((e.message, e.envelope) for e in entries)
    assert scene.is_empty()


@pytest.mark.usefixtures("reboot")
def test_a_lost_message_whose_number_another_lost_one_gets_takes_nothing_away(
    scene: Scene,
) -> None:
    # The file system gives the lowest free number first, or the last that became free: so with
    # some of each, some meet.
    for number in range(20):
        scene.place(f"pid/{number}", b"")
    numbers = [os.stat(f"{scene.home}/queue/pid/{i}").st_ino for i in range(20)]
    for number in range(20):
        os.unlink(f"{scene.home}/queue/pid/{number}")
    entries = [Entry(number, b"body of %d" % number, b"F\0T%d\0" % number) for number in numbers]
    scene.journal(*entries)

    scene.recover()

    assert sorted(scene.queued().values()) == sorted((e.message, e.envelope) for e in entries)


# Numbers that are taken.


@pytest.mark.usefixtures("reboot")
def test_a_number_that_a_copied_queue_gave_to_another_file_is_not_taken(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: dict[str, bytes] = {}
    create = files.create_exclusively

    def create_where_a_copy_is(path: str, mode: int) -> int:
        descriptor = create(path, mode)
        if "/pid/" in path and "recovery" not in path and len(copies) < 3:
            name = layout.message_path(os.fstat(descriptor).st_ino)
            copies[name] = b"copied %d" % len(copies)
            with open(f"{scene.home}/queue/{name}", "xb") as file:
                file.write(copies[name])
        return descriptor

    scene.journal(ENTRY)
    monkeypatch.setattr(files, "create_exclusively", create_where_a_copy_is)

    scene.recover()

    assert list(scene.queued().values()) == [(BODY, ENVELOPE)]
    found = files_in(scene.home)
    assert {name: found[name] for name in copies} == copies
    assert not files_in(scene.home, "pid")
    assert len(copies) == 3


# What need not be done.


def test_an_old_queue_gets_the_folder(scene: Scene) -> None:
    os.rmdir(f"{scene.home}/queue/journal")

    scene.recover()

    assert os.stat(f"{scene.home}/queue/journal").st_mode & 0o777 == 0o750


def test_the_name_of_the_folder_survives_before_anything_is_in_it(scene: Scene) -> None:
    # The process that made it may have died before it could sync that.
    with recorded() as calls:
        scene.recover()

    assert ("sync_directory", f"{scene.home}/queue") in calls


def test_where_the_kernel_remembers_nothing_is_made_again(scene: Scene) -> None:
    scene.journal(ENTRY)

    with recorded() as calls:
        scene.recover()

    assert files_in(scene.home) == {}, "it was delivered since"
    assert scene.complaints == []
    assert scene.is_empty()
    assert "sync_file_system" in [call for call, *_ in calls]


@pytest.mark.usefixtures("reboot")
def test_recovering_twice_changes_nothing(scene: Scene) -> None:
    scene.journal(ENTRY)
    scene.recover()
    before = files_in(scene.home)

    scene.recover()

    assert files_in(scene.home) == before
    assert len(scene.complaints) == 1


@pytest.mark.usefixtures("reboot")
def test_where_one_call_is_not_to_be_trusted_each_file_is_synced(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.place_message(NUMBER, BODY, ENVELOPE)
    scene.journal(ENTRY)
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"btrfs")

    with recorded() as calls:
        scene.recover()

    names = [call for call, *_ in calls]
    assert "sync_file_system" not in names
    assert names[: names.index("write_at")].count("sync") == 2
    assert scene.is_empty()


# Failures.


@pytest.mark.usefixtures("reboot")
def test_after_any_failure_the_next_recovery_has_everything(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyqmail.queue.layout.SPLIT", 2)  # fewer folders to sync
    missing, bare, torn = (Entry(NUMBER + i, BODY + b"%d" % i, ENVELOPE) for i in range(3))

    def set_up() -> None:
        for name in files_in(scene.home):
            os.unlink(f"{scene.home}/queue/{name}")
        scene.place(layout.message_path(bare.number), bare.message)
        scene.place_message(torn.number, torn.message[:99], ENVELOPE)
        scene.journal(missing, bare, torn)

    set_up()
    with recorded() as calls:
        scene.recover()
    assert len(calls) > 30
    for step in range(len(calls)):
        set_up()
        with failing(errno.EIO, step):
            scene.recovers()

        scene.recover()

        queued = scene.queued().values()
        assert {message for message, _ in queued} == {missing.message, bare.message, torn.message}
        assert {envelope for _, envelope in queued} == {ENVELOPE}
        assert scene.is_empty()
        assert not files_in(scene.home, "pid")


@pytest.mark.usefixtures("reboot")
@pytest.mark.parametrize("call", ["create", "write", "link", "sync_file_system"])
def test_a_recovery_that_failed_is_told_and_qmail_send_goes_on_waiting(
    scene: Scene, call: str
) -> None:
    scene.journal(ENTRY)

    with failing(errno.EIO, 0, on=call):
        recovered = scene.recovers()

    assert not recovered
    assert journal_use.awaits_recovery(f"{scene.home}/queue")
    assert read_frames(f"{scene.home}/queue") == {1: [ENTRY]}


@pytest.mark.usefixtures("reboot")
def test_a_segment_that_cannot_be_emptied_is_removed(scene: Scene) -> None:
    scene.journal(ENTRY)

    with failing(errno.EIO, 0, on="write_at"):
        scene.recover()

    assert [message for message, _ in scene.queued().values()] == [BODY]
    assert scene.is_empty()


@pytest.mark.usefixtures("reboot")
def test_a_failure_says_where_and_why(scene: Scene) -> None:
    scene.journal(ENTRY)

    with failing(errno.EIO, 0, on="create"), pytest.raises(TransientFailure) as caught:
        scene.recover()

    assert "unable to recover messages from" in str(caught.value)
    assert "Input/output error" in str(caught.value)
