"""Memory of a private home that runs and has nothing to do."""

from __future__ import annotations

import time

from processes import family, proportional_memory, title
from tests.support.private_home import PrivateHome

SETTLE = 2  # seconds until start-up is over


def main() -> None:
    """Print each process, and the sum."""
    with PrivateHome("aku") as home:
        home.start()
        time.sleep(SETTLE)
        total = 0
        for pid in family(home.pid):
            memory = proportional_memory(pid)
            total += memory
            print(f"{memory / 1024:8.1f} MB  {title(pid)[:70]}")
        print(f"{total / 1024:8.1f} MB  in all (PSS)")


if __name__ == "__main__":
    main()
