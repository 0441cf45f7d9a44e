"""Lookups in other processes; what is slow there must not stop the rest."""

from __future__ import annotations

import os
import selectors
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyqmail.control.assign import Assignment
from pyqmail.control.roles import Roles
from pyqmail.delivery import lookups
from pyqmail.delivery.lookups import Lookups
from pyqmail.delivery.users import HOME_UNREACHABLE, NO_ALIAS, NoOwner
from pyqmail.system.accounts import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

UID = os.getuid() or 65534
OWNER = Assignment(b"joe", 1000, 1000, b"/home/joe", b"", b"")


class Desk:
    """A Lookups, with the answers that it gave."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.selector = selectors.DefaultSelector()
        # The roles of a private home, so that the test needs no accounts.
        self.lookups = Lookups(home, Roles(home, Account("me", UID, UID, home)), self.selector)
        self.answers: dict[bytes, Assignment | int] = {}

    def ask(self, local: bytes) -> None:
        self.lookups.ask(local, lambda answer: self.answers.update({local: answer}))

    def work(self, count: int) -> None:
        """Go on until there are `count` answers."""
        deadline = time.monotonic() + 20
        while len(self.answers) < count:
            assert time.monotonic() < deadline
            for key, events in self.selector.select(0.02):
                key.data(events)
            self.lookups.tick()

    def processes(self) -> int:
        return len(self.selector.get_map())


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(lookups, "find_by_password", find)
    monkeypatch.setattr(lookups, "PATIENCE", 0.05)
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o755)  # whoever looks things up is not us
        desk = Desk(home)
        yield desk
        for key in list(desk.selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]


def find(local: bytes, _roles: Roles) -> Assignment:
    if local.startswith(b"slow"):
        time.sleep(0.5)
    if local == b"dies":
        os._exit(1)
    if local == b"nobody":
        raise NoOwner(NO_ALIAS, b"")
    return OWNER


def test_owners_are_found_by_one_process(desk: Desk) -> None:
    for number in range(100):
        desk.ask(b"%d" % number)
    desk.work(100)

    assert set(desk.answers.values()) == {OWNER}
    assert desk.processes() == 1


def test_the_reason_why_there_is_no_owner_comes_back(desk: Desk) -> None:
    desk.ask(b"nobody")
    desk.work(1)

    assert desk.answers == {b"nobody": NO_ALIAS}


def test_what_waits_behind_a_slow_lookup_is_found_by_another_process(desk: Desk) -> None:
    desk.ask(b"slow")
    desk.ask(b"joe")
    desk.work(1)

    assert desk.answers == {b"joe": OWNER}
    desk.work(2)
    assert desk.answers[b"slow"] == OWNER


def test_a_user_whose_home_hangs_takes_one_process_and_delays_nobody_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "LAST_PATIENCE", 0.2)
    letters = [b"slow", b"SLOW-list", b"slow-other"]
    for local in letters:
        desk.ask(local)
    desk.work(3)

    assert desk.answers == dict.fromkeys(letters, HOME_UNREACHABLE)
    assert desk.processes() == 1
    desk.answers.clear()
    desk.ask(b"slow-again")  # it hangs still
    desk.ask(b"joe")
    desk.work(2)
    assert desk.answers == {b"slow-again": HOME_UNREACHABLE, b"joe": OWNER}
    assert desk.processes() == 2


def test_a_lookup_that_dies_is_a_transient_failure_and_the_next_works(desk: Desk) -> None:
    desk.ask(b"dies")
    desk.work(1)
    desk.ask(b"joe")
    desk.work(2)

    assert desk.answers == {b"dies": lookups.TEMPORARY_TROUBLE, b"joe": OWNER}


def test_an_idle_process_is_let_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.ask(b"joe")
    desk.work(1)
    monkeypatch.setattr(lookups, "MAX_IDLE", 0.0)

    deadline = time.monotonic() + 20
    while desk.lookups.busy:
        assert time.monotonic() < deadline
        desk.lookups.tick()

    assert desk.processes() == 0


def test_another_qmail_getpw_is_executed(desk: Desk) -> None:
    home = Path(desk.home)
    (home / "bin").mkdir(mode=0o755)
    program = home / "bin/qmail-getpw"
    program.write_text("#!/bin/sh\nprintf 'ann\\0005\\0006\\000/a\\000-\\000%s\\000' \"$1\"\n")
    program.chmod(0o755)

    desk.ask(b"x")
    desk.work(1)

    assert desk.answers == {b"x": Assignment(b"ann", 5, 6, b"/a", b"-", b"x")}
