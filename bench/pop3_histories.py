"""As many random histories of POP3 as you like; what the model cannot explain ends them.

    python -m bench.pop3_histories [COUNT [FIRST SEED]]

`tests/interop/test_pop3_histories.py` does 2000.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

from tests.support.pop3_histories import live_through
from tests.support.pop3_slots import slots

COUNT = 20000
SLOTS = 3


def main() -> None:
    """Let them happen; print what there was."""
    numbers = [int(argument) for argument in sys.argv[1:]]
    count = numbers.pop(0) if numbers else COUNT
    first = numbers.pop(0) if numbers else random.randrange(10**9)
    print(f"{count} histories from seed {first} on", flush=True)
    start = time.monotonic()
    with slots(SLOTS) as made:
        asyncio.run(live_through(made, list(range(first, first + count))))
    messages, sessions = sum(slot.messages for slot in made), sum(slot.sessions for slot in made)
    kills, took = sum(slot.kills for slot in made), time.monotonic() - start
    print(f"{messages} messages, {sessions} sessions, {kills} kills in {took:.0f} s: all explained")


if __name__ == "__main__":
    main()
