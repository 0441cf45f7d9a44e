"""A number that is used again while the removal of its old names is not synced; docs/queue.md."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.support.power import Trace
from tests.support.queues import draft, files_in, make_home, private_roles

from pyqmail.queue import layout
from pyqmail.queue.cleanup import LocalCleaner
from pyqmail.queue.intake import FileIntake
from pyqmail.queue.journal import Journal
from pyqmail.queue.journal_file import BLOCK

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.xfail(reason="only names that are still there are removed durably", strict=True)
@pytest.mark.parametrize("journaled", [False, True])
def test_a_message_does_not_meet_the_recipients_that_its_number_had_before(
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
        message = draft(second, b"second", forward_paths=[b"eve@example.org"])
        with monkeypatch.context() as patch:
            patch.setattr(
                "pyqmail.queue.intake.os.fstat", lambda _fd: SimpleNamespace(st_ino=number)
            )
            second.prepare([message])

    meetings = [
        state
        for cut in range(trace.length + 1)
        for state in trace.outcomes(cut)
        if state.get(layout.message_path(number), b"").endswith(b"second")
        and b"Tjoe@" in state.get(layout.todo_path(number), b"")
    ]

    if journal is not None:
        journal.close()
    assert meetings == []
