"""The log of qmail-send without numbers, and without the order in which deliveries end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.differential.replay.words import uid_word

if TYPE_CHECKING:
    from tests.differential.replay.words import NormalForm


class NormalLog:
    """Takes lines; `messages` has for each message its own lines and its deliveries.

    Messages are M1, M2, … in the order in which they appear; what belongs to
    none stands under `-`. A delivery is its first and its last line.
    """

    def __init__(self, normal: NormalForm) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self._normal = normal
        self._names: dict[str, str] = {}
        self._appeared = 0
        self._deliveries: dict[str, list[str]] = {}

    def add(self, line: str) -> None:
        """Add one line of the log."""
        if line.startswith("status:"):
            return
        if match := re.fullmatch(r"new msg (\d+)", line):
            self._appeared += 1  # a number may be used again
            self._names[match[1]] = f"M{self._appeared}"
        if match := re.match(r"starting delivery (\d+): msg (\d+) (.*)", line):
            delivery = self._deliveries[match[1]] = [self._clean(f"starting delivery: {match[3]}")]
            deliveries = self._entry(match[2])["deliveries"]
            deliveries.append(delivery)
        elif match := re.match(r"delivery (\d+): (.*)", line):
            self._deliveries.setdefault(match[1], []).append(self._clean(match[2]))
            self._sort()
        elif match := re.search(r"\bmsg (\d+)", line):
            self._entry(match[1])["lines"].append(self._clean(line))
        else:
            line = re.sub(r"\bbounce/(\d+)", lambda match: f"bounce/{self._name(match[1])}", line)
            self._entry("-")["lines"].append(self._normal.text(line))

    def _sort(self) -> None:
        for entry in self.messages.values():
            entry["deliveries"].sort()

    def _name(self, number: str) -> str:
        return self._names.get(number, number)

    def _entry(self, number: str) -> dict[str, Any]:
        name = self._names.get(number, "-")
        return self.messages.setdefault(name, {"lines": [], "deliveries": []})

    def _clean(self, line: str) -> str:
        line = re.sub(r"(?<![A-Za-z0-9])qp_\d+", "qp_{PID}", line)
        line = re.sub(r"\bbytes \d+", "bytes {N}", line)
        line = re.sub(r"\buid (\d+)$", lambda match: f"uid {uid_word(int(match[1]))}", line)
        line = self._normal.text(line)
        return re.sub(r"\bmsg (\d+)", lambda match: f"msg {self._name(match[1])}", line)


def with_uid_words(text: str) -> str:
    """Put words for the user numbers in Received fields."""
    return re.sub(
        r"invoked by uid (\d+)\)", lambda match: f"invoked by uid {uid_word(int(match[1]))})", text
    )
