"""What the tests of the small programs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.commands import Commands
from tests.support.launchers import launcher_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def launchers() -> Iterator[str]:
    with launcher_folder() as folder:
        yield folder


@pytest.fixture
def commands(launchers: str, tmp_path: Path) -> Commands:
    return Commands(launchers, tmp_path)
