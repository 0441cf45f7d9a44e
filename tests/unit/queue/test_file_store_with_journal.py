from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.queues import file_store, make_home, private_roles
from tests.support.store_conformance import Queue, StoreConformance

from pyqmail.queue.intake import FileIntake
from pyqmail.queue.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")
    home = make_home(str(tmp_path / "home"))
    complaints: list[str] = []
    journal = Journal(f"{home}/queue", complaints.append)
    journal.make(65536)
    store = file_store(home)
    yield FileIntake(home, private_roles(home), journal=journal), store
    store.close()
    journal.empty()
    journal.close()
    assert complaints == []


class TestFileStoreWithJournal(StoreConformance):
    """The conformance suite on files that a journal makes survive."""
