"""qmailctl, and a home for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.children import as_ordinary_user
from tests.support.places import ordinary_place
from tests.support.qmailctl import Qmailctl

from pyqmail.home.setup import setup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def unmade(launchers: str) -> Iterator[Qmailctl]:
    """Give qmailctl for a home that is not there yet."""
    with ordinary_place() as place:
        yield Qmailctl(launchers, place)


@pytest.fixture
def qmailctl(unmade: Qmailctl) -> Qmailctl:
    """Give qmailctl for a home that is made."""
    as_ordinary_user(lambda: setup(str(unmade.home), b"mail.example.org", None, ()).name)
    return unmade
