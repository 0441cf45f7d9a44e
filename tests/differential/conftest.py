"""Vectors become cases: one for each line of vectors/*.jsonl, known by its id."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.differential.deviations import DEVIATIONS, POP3_EXTENSIONS
from tests.support.accounts import accounts, homes_of_our_own, why_not
from tests.support.launchers import launcher_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Programs whose cases are sessions: those that serve, and those that stand before a server.
SESSIONS = ("smtpd", "qmtpd", "qmqpd")
FILTERS = ("addcr", "delcr", "fixcrio", "recordio", "rblsmtpd")

VECTORS = os.path.join(os.path.dirname(__file__), "vectors")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `vector` and `scenario` their cases."""
    for argument, is_scenario in (("vector", False), ("scenario", True)):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, cases(scenarios=is_scenario))
    for argument, prefixes in (("session", SESSIONS), ("filtered_session", FILTERS)):
        if argument in metafunc.fixturenames:
            known = cases(scenarios=False)
            chosen = [case for case in known if case.id.rpartition("-")[0] in prefixes]
            metafunc.parametrize(argument, chosen)
    if "pop3_session" in metafunc.fixturenames:
        sessions = [
            _case(vector, POP3_EXTENSIONS)
            for vector in vectors(scenarios=False)
            if vector["id"].startswith(("popup-", "pop3d-"))
        ]
        metafunc.parametrize("pop3_session", sessions)


def cases(*, scenarios: bool) -> list[Any]:
    """Return one parameter for each recorded case."""
    return [_case(vector, DEVIATIONS) for vector in vectors(scenarios=scenarios)]


def vectors(*, scenarios: bool) -> list[dict[str, Any]]:
    """Return all recorded cases."""
    found = []
    for name in sorted(os.listdir(VECTORS)):
        if name.startswith("scenarios") == scenarios:
            with open(f"{VECTORS}/{name}", encoding="utf-8") as file:
                found += [json.loads(line) for line in file]
    return found


def _case(vector: dict[str, Any], deviations: Mapping[str, str]) -> Any:
    reason = deviations.get(vector["id"])
    marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
    if any(account.startswith("mv") for account in vector.get("needs", [])):
        # The scenarios change the homes of these users: one worker runs all of them.
        marks = [*marks, pytest.mark.xdist_group("scenarios")]
    if "port" in vector.get("server", {}):
        marks = [*marks, pytest.mark.xdist_group("servers")]  # only one can listen
    return pytest.param(vector, id=vector["id"], marks=marks)


@pytest.fixture(scope="session")
def bin_folder() -> Iterator[str]:
    """Give a folder with launchers of all programs."""
    with launcher_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def _accounts_if_root() -> Iterator[None]:
    """Have the family's accounts if this machine lets us make them."""
    if why_not():
        yield
        return
    with accounts():
        yield


@pytest.fixture(autouse=True)
def _homes_if_shared(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the users' homes alone, also when another run is on its way on this machine."""
    if why_not() or request.node.get_closest_marker("xdist_group") is None:
        yield
        return
    request.getfixturevalue("_accounts_if_root")
    with homes_of_our_own():
        yield
