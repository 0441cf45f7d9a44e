"""A folder that an ordinary user owns, and a home in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.children import as_ordinary_user
from tests.support.places import ordinary_place
from tests.support.private_home import why_not

from pyqmail.home.setup import setup

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = ("forward", "qmail-inject", "sendmail")


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder that every account can reach and an ordinary user owns."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with ordinary_place() as folder:
        yield folder


@pytest.fixture
def home(place: Path) -> Path:
    """Give a private home for mail.example.org."""
    path = place / "home"
    as_ordinary_user(lambda: setup(str(path), b"mail.example.org", None, PROGRAMS).name)
    return path
