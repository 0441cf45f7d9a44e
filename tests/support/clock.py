"""A clock that moves only when it is told to."""

from __future__ import annotations


class ManualClock:
    """Call it to read the time, in Unix seconds."""

    def __init__(self, now: int = 1_000_000_000) -> None:
        self.time = now

    def __call__(self) -> int:
        """Return the time."""
        return self.time

    def advance(self, seconds: int) -> int:
        """Let `seconds` pass; return the new time."""
        assert seconds >= 0, "time does not go back"
        self.time += seconds
        return self.time
