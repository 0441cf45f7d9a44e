"""What a mailbox may hold, whatever has happened to its readers and their server.

A mailbox is a set of messages. A message is deleted when QUIT is answered with +OK; if
nobody heard the answer, it is deleted or it is not, and the next look decides. Once fetched,
it has the same unique id and the same bytes for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Unexplained(AssertionError):  # noqa: N818  it is the histories' word
    """Something that the model does not allow."""


@dataclass
class Mailbox:
    """What is known of one user's messages, which are called as their sender calls them.

    Each message that was accepted is in one of the five sets.
    """

    user: str
    coming: set[str] = field(default_factory=set)  # accepted, and not seen yet
    present: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    # There was a QUIT that nobody heard an answer to, and whoever might obey it is dead ...
    doubtful: set[str] = field(default_factory=set)
    # ... or may obey it at any time.
    endangered: set[str] = field(default_factory=set)

    texts: dict[str, bytes] = field(default_factory=dict)  # as they were first fetched
    names: dict[str, str] = field(default_factory=dict)  # the message of a unique id
    uids: dict[str, str] = field(default_factory=dict)

    def accept(self, message: str) -> None:
        """A message was accepted for this user."""
        self.coming.add(message)

    def name(self, uid: str, message: str) -> None:
        """A message has this unique id."""
        if self.uids.setdefault(message, uid) != uid:
            raise Unexplained(f"{message} was {self.uids[message]} and is {uid}")
        if self.names.setdefault(uid, message) != message:
            raise Unexplained(f"{uid} was {self.names[uid]} and is {message}")

    def see(self, messages: Iterable[str]) -> None:
        """A session begins and shows these."""
        seen = set(messages)
        if lost := self.present - seen:
            raise Unexplained(f"{self.user} has lost {sorted(lost)}")
        possible = self.coming | self.present | self.doubtful | self.endangered
        if strange := seen - possible:
            deleted = sorted(strange & self.gone)
            raise Unexplained(f"{self.user} is shown {sorted(strange)}, deleted: {deleted}")
        self.gone |= (self.doubtful | self.endangered) - seen
        self.present |= (self.doubtful | self.coming) & seen
        self.endangered &= seen
        self.coming -= seen
        self.doubtful.clear()

    def fetch(self, message: str, text: bytes | None) -> None:
        """A session was given this text; None: it was refused."""
        if text is None:
            if message in self.present:
                raise Unexplained(f"{self.user} cannot fetch {message}, which nobody has deleted")
            return
        if message in self.gone:
            raise Unexplained(f"{self.user} is given {message}, which is deleted")
        if self.texts.setdefault(message, text) != text:
            raise Unexplained(f"{message} of {self.user} has changed")

    def quit(self, deleted: set[str], *, well: bool) -> None:
        """A session said QUIT and was answered, `well` or with an error."""
        if well:
            self.coming -= deleted
            self._move(deleted, self.gone)
        elif deleted <= self.present:
            raise Unexplained(f"{self.user} could not delete {sorted(deleted)}")
        else:  # somebody else was faster with some of them
            self._move(deleted & self.present, self.doubtful)

    def quit_unheard(self, deleted: set[str]) -> None:
        """A session said QUIT and did not wait: it may be obeyed at any time."""
        self._move(deleted - self.gone, self.endangered)

    def all_were_killed(self) -> None:
        """No session is left that could do anything."""
        self._move(set(self.endangered), self.doubtful)

    def _move(self, messages: set[str], where: set[str]) -> None:
        for others in (self.present, self.doubtful, self.endangered, self.gone):
            if others is not where:
                others.difference_update(messages)
        where.update(messages)
