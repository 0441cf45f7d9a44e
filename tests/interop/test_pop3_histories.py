"""Whatever readers, a sender and a killed server do to mailboxes, a simple model explains it."""

from __future__ import annotations

import asyncio
import os
import random
import sys

import pytest
from tests.support.pop3_histories import live_through
from tests.support.pop3_slots import slots
from tests.support.private_home import why_not

HISTORIES = 2000
SLOTS = 3


@pytest.mark.process
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.timeout(600)
def test_every_history_is_explained_by_a_simple_model() -> None:
    first = int(os.environ.get("SEED", random.randrange(10**9)))
    count = int(os.environ.get("HISTORIES", HISTORIES))
    sys.stdout.write(f"SEED={first} HISTORIES={count}\n")  # pytest shows it if the test fails

    with slots(SLOTS) as made:
        asyncio.run(live_through(made, list(range(first, first + count))))

    # There was something to explain.
    assert sum(slot.messages for slot in made) > count / 2
    assert sum(slot.sessions for slot in made) > count / 2
    assert count < 1000 or sum(slot.kills for slot in made) > 0
    assert all(not box.coming and not box.present for s in made for box in s.mailboxes.values())
