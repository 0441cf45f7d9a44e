"""Deliver many messages into Maildirs, and sync as little as possible.

One user's mail that waits together is written together: all files, one sync
for all of them, all renames, one sync for each new/. The promise is that of a
single delivery: who has no failure here survives a power cut.
"""

from __future__ import annotations

import os

from pyqmail.delivery import dotqmail
from pyqmail.delivery.local import rewind
from pyqmail.errors import Failure, TransientFailure
from pyqmail.mailbox import maildir
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyqmail.delivery.local import Delivery
    from pyqmail.mailbox.maildir import Draft


def is_for_maildirs(delivery: Delivery) -> bool:
    """Does the delivery go to Maildirs, all of it?"""
    return all(line.kind == dotqmail.MAILDIR for line in delivery.instructions)


def deliver_all(deliveries: Sequence[Delivery]) -> list[Failure | None]:
    """Deliver into Maildirs; return for each delivery its failure, or None.

    As in obey(), what a delivery did before its failing line stays done.
    """
    attempts = [_Attempt(delivery) for delivery in deliveries]
    for attempt in attempts:
        attempt.write()
    _sync_drafts(attempts)
    for attempt in attempts:
        attempt.publish()
    _sync_folders(attempts)
    return [attempt.failure for attempt in attempts]


class _Attempt:
    """One delivery of a batch, with its messages on their way."""

    def __init__(self, delivery: Delivery) -> None:
        self.failure: Failure | None = None
        self.drafts: list[Draft] = []
        self.published: list[Draft] = []
        self._delivery = delivery

    def write(self) -> None:
        """Write a draft for each line, up to the first that fails."""
        home = self._delivery.home
        try:
            for line in self._delivery.instructions:
                path = os.path.join(home, os.fsdecode(line.argument))
                rewind(self._delivery.message)
                head = self._delivery.maildir_head
                self.drafts.append(maildir.write_draft(path, head, self._delivery.message))
        except Failure as failure:
            self.failure = failure

    def publish(self) -> None:
        """Publish the drafts in their order, up to the first that fails."""
        while self.drafts:
            draft = self.drafts.pop(0)
            try:
                maildir.publish(draft)
            except Failure as failure:
                self.give_up(failure)
            else:
                self.published.append(draft)

    def give_up(self, failure: Failure) -> None:
        """Fail, and discard what is not published."""
        self.failure = failure
        while self.drafts:
            maildir.discard(self.drafts.pop())


def _sync_drafts(attempts: Sequence[_Attempt]) -> None:
    drafts = [draft for attempt in attempts for draft in attempt.drafts]
    try:
        files.sync_all([draft.descriptor for draft in drafts], ())
        for draft in drafts:
            maildir.close(draft)
    except OSError:
        # Nobody knows which of them are on the disk, and a second fsync does not
        # repeat the error of the first: none counts.
        for attempt in attempts:
            if attempt.drafts:
                attempt.give_up(TransientFailure(maildir.TEMPORARY))


def _sync_folders(attempts: Sequence[_Attempt]) -> None:
    failures: dict[str, Failure] = {}
    for folder in dict.fromkeys(d.maildir for attempt in attempts for d in attempt.published):
        try:
            maildir.sync_new(folder)
        except Failure as failure:
            failures[folder] = failure
    if not failures:
        return
    for attempt in attempts:
        for draft in attempt.published:
            if draft.maildir in failures:
                maildir.take_back(draft)
                attempt.failure = failures[draft.maildir]
