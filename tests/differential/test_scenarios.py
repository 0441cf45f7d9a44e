"""The whole system, run as root, delivers what the original delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.differential.replay import whole_system
from tests.differential.replay.difference import difference
from tests.support import accounts

if TYPE_CHECKING:
    from collections.abc import Mapping

# One at a time: they share the homes of the test users.
pytestmark = [pytest.mark.process, pytest.mark.root, pytest.mark.xdist_group("scenarios")]


@pytest.mark.usefixtures("_accounts_if_root")
def test_the_system_does_what_the_original_did(
    scenario: Mapping[str, Any], bin_folder: str
) -> None:
    if reason := accounts.why_not() or whole_system.why_not(bin_folder, scenario):
        pytest.skip(reason)
    if not accounts.are_ours():
        pytest.skip("accounts of these names are in use here, and their homes are not ours")

    outcome = whole_system.run(scenario, bin_folder)

    lines = difference(scenario, outcome)
    assert not lines, "\n".join([scenario["about"], *lines])
