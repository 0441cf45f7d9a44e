"""The queue, as the rest of the family sees it: two interfaces and their values.

`Intake` is what qmail-queued needs: it takes messages in. `Store` is what
qmail-send needs: it hands them out, remembers what happened to each recipient
and lets them go. `intake.FileIntake` and `file_store.FileStore` keep the
queue in files; another store may keep it elsewhere, so nothing here speaks of
files, inodes or one host. A message is named by its number alone.

The states of a message (docs/queue.md), and the calls that lead on:

    nothing, or being written   S1 to S3   begin(), Draft
    accepted, "new"             S4         accept()
    settled                     S5         settle()
    gone                        S1         remove()

Every method may touch the disk, and those that say *durably* wait for it: call
them from a thread that may wait, never on an event loop. The methods of one
store may be called from several threads as long as no two calls concern the
same message at once.

Trouble is a StoreFailure. It is transient, always: the message stays in the
state it was in, unless the method says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

from pyqmail.errors import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Channel = Literal["local", "remote"]
CHANNELS: Final[tuple[Channel, Channel]] = ("local", "remote")


class StoreFailure(TransientFailure):
    """Something in the queue could not be read or written.

    `text` is what qmail-send writes into its log after `warning: `, such as
    `unable to open todo/457`; the caller appends `; will try again later`
    where the original does. `reason` is the text of the system's error.
    """

    def __init__(self, text: bytes, reason: bytes = b"") -> None:
        super().__init__(text)
        self.reason = reason


class DamagedMessage(StoreFailure):
    """The message is not what it should be, and trying again will not help.

    Set it aside: leave it where it is, say so once, and go on with others.
    """


class CleanerLost(TransientFailure):
    """qmail-clean is gone; nothing can be removed any more."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient to be settled: rewritten address and channel."""

    channel: Channel
    address: bytes
    done: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is to be known of a message from here on, besides what `Settled` says."""

    number: int
    reverse_path: bytes
    birth: int
    recipients: Iterable[Recipient]


@dataclass(frozen=True, slots=True)
class StoredRecipient:
    """A recipient as the store has it; `position` names it in `mark_done()`."""

    position: int
    address: bytes
    done: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """What is known of a settled message besides its recipients.

    `birth` is the Unix time that its age is counted from, `size` the bytes of
    the message with its Received field.
    """

    reverse_path: bytes
    birth: int
    size: int
    has_additions: bool = False  # read_wishes() yields something


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A settled message as found at start-up.

    `local` and `remote` are the Unix times of its next attempts, None for a
    channel without recipients; both None: it waits to bounce or to be removed.
    `trouble` holds a line for the log when a time could not be read; then try
    again later, as after every StoreFailure.
    """

    number: int
    local: int | None
    remote: int | None
    trouble: bytes = b""


class NewEnvelope(Protocol):
    """The envelope of a new message, read piece by piece: it may be huge.

    Use it as a context manager, and iterate over it once for the forward
    paths. Iterating raises DamagedMessage where the envelope is damaged.
    """

    uid: int
    pid: int
    reverse_path: bytes
    size: int  # bytes of the message with its Received field
    has_additions: bool  # read_wishes() yields something; known once a forward path was asked for

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def __iter__(self) -> Iterator[bytes]: ...


class Draft(Protocol):
    """A message on its way in. Whatever happens to it, nobody else ever sees it unfinished."""

    def write(self, data: bytes) -> None:
        """Take the next bytes of the message, starting with its Received field."""

    def write_envelope(self, data: bytes) -> None:
        """Take the next bytes of the envelope: what `EnvelopeParser.feed()` gives back."""

    def spills(self, length: int) -> bool:
        """Say whether taking `length` more bytes would touch the disk; else it is instant."""

    def abandon(self) -> None:
        """Forget the message and take away every trace of it. Never raises."""


class Intake(Protocol):
    """Where messages go in.

    Trouble is a `QueueFailure` (queue/outcome.py) with the exit code of
    qmail-queue; the draft that had it leaves no trace.
    """

    def begin(self, uid: int, pid: int) -> Draft:
        """Open a draft for a message that user `uid` gives under the number `pid`."""

    def accept(self, drafts: Sequence[Any]) -> Sequence[TransientFailure | None]:
        """Accept drafts of this intake durably, as one batch; None or the failure for each.

        That is `prepare()`, and `publish()` for those that had no failure.
        """

    def prepare(self, drafts: Sequence[Any]) -> Sequence[TransientFailure | None]:
        """Have drafts where nobody sees them; None or the failure for each.

        What can be waited for is waited for here, so that `publish()` is quick. A failure
        leaves no trace.
        """

    def publish(self, drafts: Sequence[Any]) -> Sequence[TransientFailure | None]:
        """Make prepared drafts messages of the queue, durably; None or the failure for each.

        None is returned only once that message survives a power cut, and only then does
        qmail-send hear of it. A failure leaves no trace but for one case: when
        the very last sync fails the message may stay, complete, and be
        delivered although its sender will try again.
        """


class Store(Protocol):
    """Where messages come out."""

    def take_charge(self) -> bool:
        """Become the one that delivers from this queue, until the process ends.

        False: another one is. Call this first.
        """

    def arrivals(self) -> int:
        """Return a descriptor that is readable when there may be new messages.

        Call `heard()` before each look at `new_messages()`.
        """

    def heard(self) -> None:
        """Make the descriptor unreadable until the next arrival."""

    # New messages.

    def new_messages(self) -> Iterator[int]:
        """Yield the numbers of new messages, in no order; some may have been seen before."""

    def open_envelope(self, number: int) -> NewEnvelope:
        """Open the envelope of a new message.

        Raises DamagedMessage when message or envelope is missing or damaged.
        """

    def settle(
        self, number: int, reverse_path: bytes, birth: int, recipients: Iterable[Recipient]
    ) -> Sequence[int]:
        """Settle a new message durably, and return the positions of its recipients in order.

        Whatever was recorded of it before is replaced, notes of failures too. On
        return, reverse path and recipients survive a power cut, and the
        message is no longer new; a power cut soon after may make it new
        again, and its recipients get it twice. On failure it is still new.
        """

    def settle_all(
        self, settlements: Sequence[Settlement]
    ) -> Sequence[Sequence[int] | StoreFailure]:
        """Do what `settle()` does for a batch; the positions or the failure for each."""

    # Settled messages.

    def scheduled_messages(self) -> Iterator[Scheduled | StoreFailure]:
        """Yield what is settled and not new; for what cannot be read, the failure. At start-up."""

    def read_settled(self, number: int) -> Settled:
        """Return what is known of a settled message."""

    def read_recipients(self, number: int, channel: Channel) -> Iterator[StoredRecipient]:
        """Yield the recipients of one channel, done or not; nothing if there are none (left).

        Raises DamagedMessage, perhaps after some recipients.
        """

    def read_wishes(self, number: int) -> Iterator[bytes]:
        """Yield the additional records of a message, new or settled; message.wishes reads them."""

    def mark_done(self, number: int, channel: Channel, position: int) -> None:
        """Remember that a recipient needs no more attempts; a power cut may forget it."""

    def finish_channel(self, number: int, channel: Channel) -> None:
        """Forget the recipients of a channel: all are done. A power cut may bring them back."""

    def set_retry_time(self, number: int, channel: Channel, time: int) -> None:
        """Remember for the next start when the channel is to be tried again."""

    # Failures.

    def note_failure(self, number: int, note: bytes) -> None:
        """Append a paragraph to the notes of a settled message, durably.

        Mark the recipient done afterwards: so the sender hears of each
        failure, at worst twice. On failure nothing was appended.
        """

    def open_bounce(self, number: int) -> int | None:
        """Return a descriptor that reads the notes of a message, or None if there are none."""

    def discard_bounce(self, number: int) -> None:
        """Forget the notes: the bounce is queued. A power cut may bring them back."""

    # The message, and its end.

    def open_message(self, number: int) -> int:
        """Return a descriptor that reads the message with its Received field."""

    def remove(self, numbers: Sequence[int]) -> list[StoreFailure | None]:
        """Remove messages that need nothing any more, new or settled; None or a failure for each.

        A power cut may bring a message back, whole and with its own envelope
        and recipients, never with another's. Removing again is allowed. Raises CleanerLost.
        """

    def leftovers(self, now: int) -> Iterator[int | StoreFailure]:
        """Yield the numbers of messages that were never accepted and will never be."""

    def remove_leftover(self, number: int) -> None:
        """Take away what `leftovers()` yielded."""
