from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import draft, file_intake, files_in, make_home, private_roles

from pyqmail.control.roles import Roles
from pyqmail.queue import layout
from pyqmail.queue.intake import SPILL_SIZE, invocation
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
