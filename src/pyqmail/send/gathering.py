"""Which recipients of a message share a transaction with another host.

qmail-send sends a job for each recipient and wants a report on each. Those of
one message with one sender and one domain are gathered, until the transaction
begins: all that come in one piece, and all that come while a connection is
being made. The senders of a VERP list differ, so each of its recipients has a
transaction of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyqmail.message.address import split_address

if TYPE_CHECKING:
    from pyqmail.protocol.spawn import Job

    # Message, reverse path, domain in small letters.
    Key = tuple[bytes, bytes, bytes]

MAX_BATCH: Final = 100  # recipients that every host must take: RFC 5321 §4.5.3.1.8


class Batch:
    """Jobs that share a transaction. It may grow until it is `sealed`."""

    __slots__ = ("_key", "_open", "forward_paths", "jobs", "wishes")

    def __init__(self, job: Job, key: Key, open_batches: dict[Key, Batch]) -> None:
        self._key = key
        self._open = open_batches
        self.jobs = [job]
        self.forward_paths = [job.forward_path]
        self.wishes = [job.wishes]

    @property
    def host(self) -> bytes:
        """The domain, as the first of the jobs has it."""
        return split_address(self.jobs[0].forward_path)[1] or b""

    @property
    def reverse_path(self) -> bytes:
        """The sender, who is the same for all."""
        return self.jobs[0].reverse_path

    def add(self, job: Job) -> None:
        """Take one more."""
        self.jobs.append(job)
        self.forward_paths.append(job.forward_path)
        self.wishes.append(job.wishes)

    def seal(self) -> None:
        """Take no more from now on."""
        if self._open.get(self._key) is self:
            del self._open[self._key]


class Gathering:
    """The batches that may still grow, none beyond `limit` recipients."""

    def __init__(self, limit: int = MAX_BATCH) -> None:
        self._limit = limit
        self._open: dict[Key, Batch] = {}

    def join(self, job: Job) -> bool:
        """Put the job into a batch that is there; say whether there was one."""
        batch = self._open.get(_key_of(job))
        if batch is None:
            return False
        batch.add(job)
        if len(batch.jobs) >= self._limit:
            batch.seal()
        return True

    def begin(self, job: Job) -> Batch:
        """Return a new batch, of this job; others may join it."""
        key = _key_of(job)
        batch = Batch(job, key, self._open)
        if self._limit > 1:
            self._open[key] = batch
        return batch


def _key_of(job: Job) -> Key:
    domain = split_address(job.forward_path)[1] or b""
    return job.message_path, job.reverse_path, domain.lower()
