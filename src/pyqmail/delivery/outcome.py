"""What became of a message at one host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyqmail.protocol.spawn import PASSED_ON

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCEPTED_RECIPIENT: Final = b"r"
# What a host says that takes no more recipients in this transaction (RFC 5321 §4.5.3.1.10).
_FULL: Final = b"\nRemote host said: 452"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The reports of a transaction: on each recipient, then on the message.

    There are fewer reports on recipients than there were recipients if it did
    not come to that. With `elsewhere`, nothing was decided: another host of the
    same domain may take the message. `alone` is what would have been said of
    the message, had a refused recipient been the only one. The host will tell
    the sender of its success with the recipients `passed_on`.
    """

    recipients: Sequence[bytes]
    message: bytes
    elsewhere: bool = False
    alone: bytes = field(default=b"", compare=False)
    passed_on: frozenset[int] = field(default=frozenset(), compare=False)

    def of_one(self, index: int) -> bytes:
        """Return what qmail-remote would print for this recipient alone."""
        about = self.recipients[index] if index < len(self.recipients) else None
        if about is None:
            return self.message + b"\0"
        message = self.message if about == ACCEPTED_RECIPIENT else self.alone or self.message
        if index in self.passed_on and message.startswith(b"K"):
            message = message.removesuffix(b"\n") + b"\n" + PASSED_ON
        return about + b"\0" + message + b"\0"

    def of_all(self) -> bytes:
        """Return what qmail-remote prints."""
        return b"".join(report + b"\0" for report in (*self.recipients, self.message))

    @property
    def full(self) -> frozenset[int]:
        """Which recipients the host may take in a further transaction: others fill this one."""
        if ACCEPTED_RECIPIENT not in self.recipients:
            return frozenset()
        reports = enumerate(self.recipients)
        return frozenset(n for n, each in reports if each[:1] == b"s" and _FULL in each)
