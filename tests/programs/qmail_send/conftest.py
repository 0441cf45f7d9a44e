"""A qmail-send between spawners that the test plays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.queue_stub import QueueStub
from tests.support.sending import SendHome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bounces(tmp_path: Path) -> QueueStub:
    return QueueStub(str(tmp_path / "stub"), str(tmp_path / "bounces"))


@pytest.fixture
def home(tmp_path: Path, launchers: str, bounces: QueueStub) -> Iterator[SendHome]:
    made = SendHome(tmp_path, launchers, bounces.path)
    yield made
    made.let_go()


@pytest.fixture
def running(home: SendHome) -> SendHome:
    home.start()
    return home
