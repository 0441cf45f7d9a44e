"""Each program gives what the original gave for the same input, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.differential.replay import vector as one_vector
from tests.differential.replay.difference import difference

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.process


@pytest.mark.usefixtures("_accounts_if_root")
def test_a_program_does_what_the_original_did(vector: Mapping[str, Any], bin_folder: str) -> None:
    if reason := one_vector.why_not(vector, bin_folder):
        pytest.skip(reason)

    outcome = one_vector.run(vector, bin_folder)

    lines = difference(vector, outcome)
    assert not lines, "\n".join([vector["about"], *lines])
