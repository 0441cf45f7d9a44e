"""A number that is used again while the removal of its old names is not synced; docs/queue.md."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.numbers import Numbers
from tests.support.power import Trace
from tests.support.queues import PID, UID, draft, file_store, files_in, make_home, private_roles

from pyqmail.queue import layout
from pyqmail.queue.cleanup import LocalCleaner
from pyqmail.queue.intake import FileIntake
from pyqmail.queue.journal import Journal
from pyqmail.queue.journal_file import BLOCK
from pyqmail.queue.store import DamagedMessage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("journaled", [False, True])
def test_a_message_does_not_go_to_the_recipients_that_its_number_had_before(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    journaled: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")
    home = make_home(str(tmp_path / "home"))
    first = FileIntake(home, private_roles(home))
    assert first.accept([draft(first, b"first", forward_paths=[b"joe@example.org"])]) == [None]
    (name,) = files_in(home, "todo")
    number = int(os.path.basename(name))
    journal = None
    if journaled:
        journal = Journal(f"{home}/queue", print)
        journal.make(8 * BLOCK)
    second = FileIntake(home, private_roles(home), journal=journal)
    trace = Trace(f"{home}/queue")
    with trace.recording():
        # It was delivered; qmail-clean removes it without a sync.
        cleaner = LocalCleaner(home)
        assert cleaner.clean([b"todo/%d" % number, b"foop/%d" % number]) == b"++"
        message = second.begin(UID, PID + 1)
        message.write(b"second")
        message.write_envelope(b"Fsue@example.net\0Teve@example.org\0")
        Numbers(monkeypatch).next = [number]
        second.prepare([message])
    if journal is not None:
        journal.close()

    meetings = [
        (new_message, envelope)
        for cut in range(trace.length + 1)
        for state in trace.outcomes(cut)
        if (new_message := state.get(layout.message_path(number), b"")).endswith(b"second")
        and b"Tjoe@" in (envelope := state.get(layout.todo_path(number), b""))
    ]

    assert meetings, "the disk may bring the old envelope back"
    for new_message, envelope in meetings:
        later = make_home(str(tmp_path / "later"))
        put(later, layout.message_path(number), new_message)
        put(later, layout.todo_path(number), envelope)
        with pytest.raises(DamagedMessage):
            file_store(later).open_envelope(number)


def put(home: str, name: str, data: bytes) -> None:
    with open(f"{home}/queue/{name}", "wb") as file:
        file.write(data)
