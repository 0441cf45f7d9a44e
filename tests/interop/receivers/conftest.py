"""Mail servers that others wrote, each started once for all tests."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.support.certificates import Authority
from tests.support.daemons import free_port
from tests.support.places import ordinary_place
from tests.support.private_home import NO_SERVICES, PrivateHome, why_not
from tests.support.receiving import Site, lead_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.receivers import Receiver


WAY_BACK = free_port()


@pytest.fixture(scope="session")
def home() -> Iterator[PrivateHome]:
    """Give a home with the user aku that runs."""
    if why_not() is not None:
        pytest.skip(str(why_not()))
    with PrivateHome("aku") as home:
        # The one service that it offers is for the reports of receivers.
        home.start(f"--listen=smtp=127.0.0.1:{WAY_BACK}", *NO_SERVICES[1:])
        yield home


class Running:
    """The receivers that some test has asked for."""

    def __init__(self, home: PrivateHome, stack: ExitStack) -> None:
        self._home = home
        self._stack = stack
        self._authority = Authority()
        self._running: dict[type[Receiver], Receiver] = {}
        self._reasons: dict[type[Receiver], str] = {}

    def receiver(self, kind: type[Receiver]) -> Receiver:
        """Return the one of this kind; skip the test where it cannot run."""
        if kind not in self._reasons and kind not in self._running:
            try:
                self._running[kind] = self._start(kind)
            except pytest.skip.Exception as skipped:
                self._reasons[kind] = str(skipped)
        if kind in self._reasons:
            pytest.skip(f"{kind.name}: {self._reasons[kind]}")
        return self._running[kind]

    def _start(self, kind: type[Receiver]) -> Receiver:
        reason = kind.why_not()
        if reason is not None:
            pytest.skip(reason)
        folder = self._stack.enter_context(ordinary_place()) / kind.name
        folder.mkdir()
        receiver = self._stack.enter_context(kind(folder, self._authority, WAY_BACK).running())
        lead_to(self._home, [*self._running.values(), receiver], self._authority)
        return receiver


@pytest.fixture(scope="session")
def receivers(home: PrivateHome) -> Iterator[Running]:
    """Give those that run, to which the home knows the way."""
    with ExitStack() as stack:
        yield Running(home, stack)


@pytest.fixture
def receiver(request: pytest.FixtureRequest, receivers: Running) -> Receiver:
    """Give a receiver of the kind that is asked for."""
    return receivers.receiver(request.param)


@pytest.fixture
def site(home: PrivateHome, receiver: Receiver) -> Site:
    """Give home and receiver as if they had just begun."""
    return Site(home, receiver)
