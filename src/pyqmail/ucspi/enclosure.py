"""What is taken away from tcpserver's workers: files that no connection needs, programs, signals.

Only if it is sure that nothing else will be needed: an administrator may name a filter in
the rules, or put one in the place of qmail-queue, at any time, and it works from the next
connection on. So a worker looks before it accepts, and one that has too little makes room for one
that has all; workers.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pyqmail.system import confinement


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What an application opens, beside what all programs do, as long as `suffice()` is true.

    It executes nothing then, and writes no file; but not if the rules set one of `variables`.
    """

    readable: Sequence[str]
    variables: Sequence[bytes] = ()
    suffice: Callable[[], bool] = lambda: True


# Returns what a chain of programs needs; None if nobody knows.
NeedsOf = Callable[[Sequence[bytes]], Needs | None]


@dataclass(slots=True)
class Enclosure:
    """What connections of one tcpserver may reach; `rules` is the file of -x."""

    needs: Needs
    rules: str | None
    _seen: object = field(default=None, init=False)
    _clean: bool = field(default=False, init=False)

    def suffices(self) -> bool:
        """Ask whether the next connection needs no more."""
        return self._rules_are_clean() and self.needs.suffice()

    def enter(self) -> bool:
        """Give up everything else, for good; return whether that is so. Raises OSError."""
        readable = [*self.needs.readable]
        if self.rules is not None:
            readable.append(os.path.dirname(os.path.abspath(self.rules)))
        return confinement.confine(confinement.Reach(readable=readable))

    def _rules_are_clean(self) -> bool:
        """Ask whether the rules set none of the variables, as far as their bytes tell."""
        if self.rules is None or not self.needs.variables:
            return True
        try:
            status = os.stat(self.rules)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if state != self._seen:
            self._clean = self._look()
            self._seen = state
        return self._clean

    def _look(self) -> bool:
        try:
            with open(self.rules or "", "rb") as file:
                text = file.read()
        except OSError:
            return False
        return not any(b"+" + name + b"=" in text for name in self.needs.variables)
