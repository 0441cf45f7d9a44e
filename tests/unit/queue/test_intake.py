from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded, watched
from tests.support.queues import draft, file_intake, files_in, make_home, private_roles

from pyqmail.control.roles import Roles
from pyqmail.queue import layout
from pyqmail.queue.intake import SPILL_SIZE, FileIntake, invocation
from pyqmail.queue.journal import Journal, read_frames
from pyqmail.queue.journal_file import BLOCK
from pyqmail.queue.outcome import QueueFailure
from pyqmail.system import files
from pyqmail.system.accounts import Account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    umask = os.umask(0o033)
    yield make_home(str(tmp_path / "home"))
    os.umask(umask)


def number_of(home: str) -> int:
    (name,) = files_in(home, "todo")
    return int(os.path.basename(name))


def test_the_number_is_the_inode_of_the_message(home: str) -> None:
    intake = file_intake(home)

    intake.accept([draft(intake)])

    number = number_of(home)
    status = os.stat(f"{home}/queue/{layout.message_path(number)}")
    assert status.st_ino == number
    assert stat.S_IMODE(status.st_mode) == 0o644


def test_the_envelope_has_two_names_and_no_last_nul(home: str) -> None:
    intake = file_intake(home)

    intake.accept([draft(intake)])

    envelope = b"u666\0p20345\0Fsue@example.net\0Tjoe@example.org\0"
    number = number_of(home)
    assert files_in(home, "pid", "intd", "todo") == {
        f"intd/{number}": envelope,
        f"todo/{number}": envelope,
    }


def test_a_small_message_touches_no_disk_before_it_is_accepted(home: str) -> None:
    calls: list[str] = []
    files.watch(lambda call, _arguments: calls.append(call))
    try:
        draft(file_intake(home), body=b"x" * 1000)
    finally:
        files.watch(None)

    assert calls == []


def test_a_large_message_is_not_kept_in_memory(home: str) -> None:
    intake = file_intake(home)
    message = intake.begin(1, 2)

    message.write(b"x" * SPILL_SIZE)

    ((name, data),) = files_in(home).items()
    assert name.startswith("mess/")
    assert data.endswith(b"x" * SPILL_SIZE)
    message.abandon()
    assert files_in(home) == {}


@pytest.mark.parametrize(
    ("directory", "code"), [("pid", 63), ("intd", 65), ("todo", 66), ("mess/*", 64)]
)
def test_a_missing_directory_has_its_exit_code_and_leaves_nothing(
    home: str, directory: str, code: int
) -> None:
    names = [f"mess/{i}" for i in range(layout.SPLIT)] if directory == "mess/*" else [directory]
    for name in names:
        os.rmdir(f"{home}/queue/{name}")
    intake = file_intake(home)

    (failure,) = intake.accept([draft(intake)])

    assert isinstance(failure, QueueFailure)
    assert failure.code == code
    assert files_in(home) == {}


def test_one_bad_message_does_not_harm_its_batch(home: str) -> None:
    intake = file_intake(home)
    drafts = [draft(intake, body=b"%d" % i) for i in range(3)]
    count = 0

    def fail_second(call: str, _arguments: object) -> None:
        nonlocal count
        count += call == "create"
        if call == "create" and count == 3:  # pid and intd of the first, then this
            raise OSError(28, "full")

    files.watch(fail_second)
    try:
        results = intake.accept(drafts)
    finally:
        files.watch(None)

    assert [result and result.code for result in results] == [None, 63, None]
    assert len(files_in(home, "todo")) == len(files_in(home, "mess")) == 2


def test_a_stale_envelope_is_gone_before_the_message_has_its_name(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After a power cut names may come back that were removed, and numbers are used again.
    intake = file_intake(home)
    stale: list[str] = []
    order: list[str] = []

    def plant(call: str, arguments: tuple[str, ...]) -> None:
        order.append(f"{call} {os.path.relpath(str(arguments[0]), home)}")
        if call == "rename":
            number = os.stat(arguments[0]).st_ino
            stale.append(os.path.lexists(f"{home}/queue/todo/{number}"))

    create = files.create_exclusively

    def create_with_stale_envelope(path: str, mode: int) -> int:
        descriptor = create(path, mode)
        if "/pid/" in path:
            for folder in ("todo", "intd"):
                with open(f"{home}/queue/{folder}/{os.fstat(descriptor).st_ino}", "wb") as file:
                    file.write(b"u1\0p1\0Fold\0Told\0")
        return descriptor

    monkeypatch.setattr(files, "create_exclusively", create_with_stale_envelope)
    files.watch(plant)
    try:
        results = intake.accept([draft(intake)])
    finally:
        files.watch(None)

    assert results == [None]
    assert stale == [False]
    assert order.index("sync_directory queue/todo") < next(
        i for i, step in enumerate(order) if step.startswith("rename")
    )
    assert list(files_in(home, "todo").values()) == [
        b"u666\0p20345\0Fsue@example.net\0Tjoe@example.org\0"
    ]


def test_a_message_of_a_copied_queue_is_never_replaced(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = file_intake(home)
    create = files.create_exclusively

    def create_at_taken_number(path: str, mode: int) -> int:
        descriptor = create(path, mode)
        number = os.fstat(descriptor).st_ino
        with open(f"{home}/queue/{layout.message_path(number)}", "wb") as file:
            file.write(b"precious")
        return descriptor

    monkeypatch.setattr(files, "create_exclusively", create_at_taken_number)

    (failure,) = intake.accept([draft(intake)])

    assert failure is not None
    assert failure.code == 64
    assert list(files_in(home).values()) == [b"precious"]


def test_in_a_system_home_the_role_is_named() -> None:
    class Known(Roles):
        def _account(self, name: str) -> Account:
            numbers = {"alias": 1, "qmaild": 2, "qmails": 3}
            return Account(name, numbers[name], 9, "/")

    roles = Known("/", Account("root", 0, 0, "/"))

    assert [invocation(uid, roles) for uid in (1, 2, 3, 4)] == [
        b"by alias",
        b"from network",
        b"for bounce",
        b"by uid 4",
    ]


def test_in_a_private_home_the_number_is_named(home: str) -> None:
    assert invocation(os.getuid(), private_roles(home)) == b"by uid %d" % os.getuid()


# With a journal in front.


@pytest.fixture
def journal(home: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")
    journal = Journal(f"{home}/queue", print)
    journal.make(64 * BLOCK)
    yield journal
    journal.close()


def journaled_intake(home: str, journal: Journal) -> FileIntake:
    return FileIntake(home, private_roles(home), journal=journal)


def accept(
    home: str, journal: Journal, *bodies: bytes
) -> tuple[list[int], list[tuple[object, ...]]]:
    """Accept a batch; return the exit codes, and the calls of the disk meanwhile."""
    intake = journaled_intake(home, journal)
    drafts = [draft(intake, body=body) for body in bodies]
    with recorded() as calls:
        results = intake.accept(drafts)
    return [result.code if result else 0 for result in results], calls


def names_of(calls: list[tuple[object, ...]]) -> list[object]:
    return [call for call, *_ in calls]


def journaled(home: str) -> dict[int, tuple[bytes, bytes]]:
    frames = read_frames(f"{home}/queue").values()
    return {entry.number: entry[1:] for frame in frames for entry in frame}


def queued(home: str) -> dict[int, tuple[bytes, bytes]]:
    found = files_in(home)
    numbers = [int(name[5:]) for name in found if name.startswith("todo/")]
    return {
        number: (found[layout.message_path(number)], found[layout.todo_path(number)])
        for number in numbers
    }


LARGE = b"line of a large message\n" * 8000


def test_a_journaled_message_is_not_synced_and_survives_before_it_is_seen(
    home: str, journal: Journal
) -> None:
    codes, calls = accept(home, journal, b"one", b"two")

    names = names_of(calls)
    assert codes == [0, 0]
    assert names.count("sync_contents") == 1, "once for both"
    assert "sync" not in names
    assert "sync_directory" not in names
    assert names.index("sync_contents") < names.index("link")
    assert len(queued(home)) == 2
    assert journaled(home) == queued(home)


def test_a_large_message_is_synced_and_not_journaled(home: str, journal: Journal) -> None:
    intake = journaled_intake(home, journal)
    with recorded() as calls:
        results = intake.accept([draft(intake, body=LARGE)])

    names = names_of(calls)
    assert results == [None]
    assert names.count("sync") == 2
    assert names.index("sync") < names.index("link")
    assert calls[-1] == ("sync_directory", f"{home}/queue/todo")
    assert len(queued(home)) == 1
    assert journaled(home) == {}


def test_in_a_mixed_batch_each_survives_in_its_way(home: str, journal: Journal) -> None:
    codes, calls = accept(home, journal, b"one", LARGE, b"two")

    names = names_of(calls)
    assert codes == [0, 0, 0]
    assert names.count("sync") == 2, "the large message and its envelope"
    assert max(names.index("sync"), names.index("sync_contents")) < names.index("link")
    assert calls[-1] == ("sync_directory", f"{home}/queue/todo")
    small = {number: pair for number, pair in queued(home).items() if len(pair[0]) < 1000}
    assert len(small) == 2
    assert journaled(home) == small


def test_before_the_journal_is_made_each_message_is_synced(home: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")
        journal = Journal(f"{home}/queue", print)

    codes, calls = accept(home, journal, b"one")

    journal.close()
    assert codes == [0]
    assert names_of(calls).count("sync") == 2


@pytest.mark.parametrize("call", ["write_at", "sync_contents"])
def test_where_the_journal_fails_the_batch_is_synced_before_it_is_seen(
    home: str, journal: Journal, call: str
) -> None:
    intake = journaled_intake(home, journal)
    drafts = [draft(intake, body=body) for body in (b"one", LARGE, b"two")]
    prepared = intake.prepare(drafts)
    order: list[str] = []

    def fail(name: str, _arguments: object) -> None:
        order.append(name)
        if name == call:
            raise OSError(errno.EIO, "broken")

    with watched(fail):
        published = intake.publish(drafts)

    assert prepared == published == [None] * 3
    assert len(queued(home)) == 3
    assert order.count("sync") == 4, "the large one was synced before"
    last_sync = len(order) - 1 - order[::-1].index("sync")
    assert last_sync < order.index("link")
    assert order[-1] == "sync_directory"


def test_where_neither_journal_nor_disk_work_nothing_is_seen(home: str, journal: Journal) -> None:
    intake = journaled_intake(home, journal)
    drafts = [draft(intake, body=b"one"), draft(intake, body=b"two")]
    intake.prepare(drafts)

    def fail(name: str, _arguments: object) -> None:
        if name in {"sync", "sync_contents"}:
            raise OSError(errno.EIO, "broken")

    with watched(fail):
        results = intake.publish(drafts)

    assert [result and result.code for result in results] == [53, 53]
    assert files_in(home) == {}


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_that_cannot_be_linked_does_not_harm_the_others(
    home: str, journal: Journal, which: int
) -> None:
    intake = journaled_intake(home, journal)
    drafts = [draft(intake, body=body) for body in (b"one", LARGE, b"two")]

    with failing(errno.ENOSPC, which, on="link"):
        results = intake.accept(drafts)

    codes = [result.code if result else 0 for result in results]
    assert codes == [66 if index == which else 0 for index in range(3)]
    assert len(queued(home)) == 2
    assert len(files_in(home)) == 6, "no trace of the third"
    assert journal.append([(1, b"", b"")]), "and the journal goes on"


def test_a_checkpoint_need_not_wait_for_a_batch_whose_links_failed(
    home: str, journal: Journal
) -> None:
    intake = journaled_intake(home, journal)
    with failing(errno.ENOSPC, 0, on="link"):
        intake.accept([draft(intake)])

    journal.checkpoint()  # would wait for ever

    assert journaled(home) == {}


def test_a_batch_of_one_large_message_does_not_touch_the_journal(
    home: str, journal: Journal
) -> None:
    intake = journaled_intake(home, journal)
    drafts = [draft(intake, body=LARGE)]

    with recorded() as calls:
        intake.accept(drafts)

    assert not {"write_at", "sync_contents"} & set(names_of(calls))


def test_messages_that_fill_the_journal_are_accepted_none_the_less(
    home: str, journal: Journal
) -> None:
    body = b"x" * 50000
    for _ in range(12):
        codes, _calls = accept(home, journal, body)
        assert codes == [0]

    assert len(queued(home)) == 12
    assert 0 < len(journaled(home)) < 12
