"""Which recipients can exist: the same lookup as delivery, and no is said only if it is sure."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from pyqmail.control.assign import parse_assign
from pyqmail.control.cdb import write_cdb
from pyqmail.errors import TransientFailure
from pyqmail.programs import recipient_check as module
from pyqmail.programs.recipient_check import RecipientCheck, recipient_check
from pyqmail.system.files import read_all

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a home where joe and the rest, ann, are assigned."""
    for name in ("control", "users", "joe", "ann"):
        (tmp_path / name).mkdir()
    for name, text in {
        "me": "example.org\n",
        "virtualdomains": "virtual.example.org:joe-virtual\n",
        "percenthack": "relay.example.org\n",
    }.items():
        (tmp_path / "control" / name).write_text(text)
    lines = [
        f"=joe:joe:1000:1000:{tmp_path}/joe:::",
        f"+joe-:joe:1000:1000:{tmp_path}/joe:-::",
        f"+:ann:1001:1001:{tmp_path}/ann:-::",
        f"=away:away:1002:1002:{tmp_path}/away:-:x:",
        ".",
    ]
    records = parse_assign("\n".join(lines).encode() + b"\n")
    write_cdb(f"{tmp_path}/users/cdb", records)
    assert read_all(f"{tmp_path}/users/cdb")
    (tmp_path / "joe/.qmail-list").write_text("")
    (tmp_path / "joe/.qmail-virtual-info").write_text("")
    (tmp_path / "joe/.qmail-many-default").write_text("")
    (tmp_path / "joe/.qmail-folder").mkdir()
    (tmp_path / "ann/.qmail-postmaster").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("address", "exists"),
    [
        (b"joe@example.org", True),
        (b"JOE@EXAMPLE.ORG", True),
        (b"joe", True),
        (b"joe-list@example.org", True),
        (b"joe-other@example.org", False),
        (b"joe-many-one-two@example.org", True),
        (b"joe-folder@example.org", False),
        (b"postmaster@example.org", True),
        (b"nobody@example.org", False),
        (b"info@virtual.example.org", True),
        (b"none@virtual.example.org", False),
        (b"nobody%example.org@relay.example.org", False),
        (b"nobody@example.com", True),
        (b"joe-../../etc/passwd@example.org", False),
        (b"joe-" + b"x" * 800 + b"@example.org", False),
        (b"away@example.org", True),
    ],
)
def test_a_recipient_exists_if_delivery_would_find_instructions(
    home: Path,
    address: bytes,
    exists: bool,  # noqa: FBT001
) -> None:
    assert RecipientCheck(str(home)).may_exist(address) == exists
    assert asyncio.run(recipient_check(str(home))(address)) == exists


@pytest.mark.parametrize("name", ["qmail-send", "qmail-lspawn", "qmail-local", "qmail-getpw"])
def test_where_a_program_is_not_ours_nobody_knows(home: Path, name: str) -> None:
    (home / "bin").mkdir()
    (home / "bin" / name).write_text("#!/bin/sh\n")

    assert RecipientCheck(str(home)).may_exist(b"nobody@example.org")


def test_a_file_that_this_user_may_not_see_exists(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: object) -> os.stat_result:
        raise PermissionError

    monkeypatch.setattr(module, "os", type("os", (), {"stat": refuse, "path": os.path}))

    assert module.has_instructions(owner_of(home))


def owner_of(home: Path) -> module.Assignment:
    return module.find_owner(str(home), b"nobody", module.roles_of(str(home)))


def test_a_disk_that_fails_is_no_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: object) -> os.stat_result:
        raise OSError(5, "input/output error")

    owner = owner_of(home)
    monkeypatch.setattr(module, "os", type("os", (), {"stat": fail, "path": os.path}))

    with pytest.raises(TransientFailure):
        module.has_instructions(owner)


def test_a_damaged_database_is_no_answer(home: Path) -> None:
    (home / "users/cdb").write_bytes(b"x")

    with pytest.raises(TransientFailure):
        RecipientCheck(str(home)).may_exist(b"joe@example.org")


def test_what_control_files_say_is_read_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AGE", -1)
    check = RecipientCheck(str(home))
    assert not check.may_exist(b"nobody@example.org")

    (home / "control/locals").write_text("")

    assert check.may_exist(b"nobody@example.org")


@pytest.mark.parametrize(
    ("address", "known"),
    [
        (b"joe@example.org", True),
        (b"nobody@example.com", True),
        (b"joe-list@example.org", False),  # .qmail files have to be looked for
        (b"nobody@example.org", False),
    ],
)
def test_a_user_is_known_without_a_thread_as_long_as_the_rules_are_fresh(
    home: Path,
    address: bytes,
    known: bool,  # noqa: FBT001
) -> None:
    check = RecipientCheck(str(home))
    assert not check.surely_exists(address)  # nothing is known of the home yet

    check.may_exist(b"joe@example.org")

    assert check.surely_exists(address) == known
    assert check.may_exist(address) or not known


def test_what_is_no_longer_fresh_is_not_relied_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = RecipientCheck(str(home))
    check.may_exist(b"joe@example.org")

    monkeypatch.setattr(module, "MAX_AGE", -1)

    assert not check.surely_exists(b"joe@example.org")


def test_a_user_who_is_no_more_is_not_known_either(home: Path) -> None:
    check = RecipientCheck(str(home))
    check.may_exist(b"joe@example.org")

    write_cdb(f"{home}/users/cdb", parse_assign(f"+:ann:1001:1001:{home}/ann:-::\n.\n".encode()))

    assert not check.surely_exists(b"joe@example.org")
    assert not check.may_exist(b"joe@example.org")


def test_a_damaged_database_makes_nobody_sure(home: Path) -> None:
    check = RecipientCheck(str(home))
    check.may_exist(b"joe@example.org")

    (home / "users/cdb").unlink()
    (home / "users/cdb").write_bytes(b"x")

    assert not check.surely_exists(b"joe@example.org")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have whatever looks at the home of slow wait until this is set."""
    gate, look = threading.Event(), RecipientCheck.may_exist

    def wait_and_look(check: RecipientCheck, forward_path: bytes) -> bool:
        assert not forward_path.startswith(b"slow") or gate.wait(20)
        return look(check, forward_path)

    monkeypatch.setattr(module, "THREADS", 4)
    monkeypatch.setattr(RecipientCheck, "may_exist", wait_and_look)
    return gate


def test_a_home_that_hangs_delays_its_user_only(home: Path, gate: threading.Event) -> None:
    async def ask() -> tuple[list[bool], list[bool], list[bool]]:
        exists = recipient_check(str(home))
        slow = [asyncio.create_task(exists(b"slow-%d@example.org" % n)) for n in range(8)]
        await asyncio.sleep(0)
        quick = [await exists(b"joe-list@example.org") for _ in range(8)]
        done = [task.done() for task in slow]
        gate.set()
        return quick, done, await asyncio.gather(*slow)

    assert asyncio.run(ask()) == ([True] * 8, [False] * 8, [False] * 8)


def test_who_waits_too_long_is_told_to_come_again(
    home: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask() -> list[bool | BaseException]:
        exists = recipient_check(str(home))
        monkeypatch.setattr(module, "PATIENCE", 0.05)
        slow = (exists(b"slow-%d@example.org" % n) for n in range(4))
        said: list[bool | BaseException] = await asyncio.gather(*slow, return_exceptions=True)
        monkeypatch.setattr(module, "PATIENCE", 20)
        gate.set()
        return [*said, await exists(b"slow-5@example.org")]

    *failures, later = asyncio.run(ask())
    assert [type(failure) for failure in failures] == [TransientFailure] * 4
    assert later is False
