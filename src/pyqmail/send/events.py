"""What the core of qmail-send hears, and what it wants done.

Events go into `core.Core.handle()`, actions come out; `daemon` carries them
out. An action marked *answered* is followed, sooner or later, by exactly one
event that says how it went; until then the core counts it as in flight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyqmail.message.delivery_status import Action as Fate
    from pyqmail.message.wishes import Wishes
    from pyqmail.protocol.spawn import Job, Report
    from pyqmail.queue.store import Channel, Recipient, Scheduled, Settled, StoredRecipient
    from pyqmail.send.routing import Routing


class Event:
    """Something happened."""

    __slots__ = ()


class Answer(Event):
    """An action that was in flight has ended."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Arrived(Event):
    """There may be new messages."""


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """A spawner says what became of a delivery."""

    channel: Channel
    report: Report


@dataclass(frozen=True, slots=True)
class SpawnerLost(Event):
    """The spawner of a channel is gone."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class CleanerLost(Event):
    """qmail-clean is gone: nothing can be removed any more."""


@dataclass(frozen=True, slots=True)
class ExitRequested(Event):
    """SIGTERM: finish what runs, write down the rest, end."""


@dataclass(frozen=True, slots=True)
class RetryRequested(Event):
    """SIGALRM: everything is due now."""


@dataclass(frozen=True, slots=True)
class RoutingChanged(Event):
    """SIGHUP, and control/locals and virtualdomains have been read again."""

    routing: Routing


@dataclass(frozen=True, slots=True)
class Listed(Answer):
    """These messages are new, or were when the listing was made; `more` were left out."""

    numbers: Sequence[int]
    more: bool = False
    trouble: bytes = b""


@dataclass(frozen=True, slots=True)
class NewMessage(Answer):
    """The envelope of a new message; `complete` if all its forward paths are here."""

    number: int
    uid: int
    qp: int
    reverse_path: bytes
    size: int
    forward_paths: Sequence[bytes]
    complete: bool
    notices: frozenset[bytes] = frozenset()  # see Wishes.notices
    wishes: Wishes | None = None  # all that is wanted, if anything is


@dataclass(frozen=True, slots=True)
class NewUnreadable(Answer):
    """The envelope of a new message could not be read; trying again helps unless `damaged`."""

    number: int
    text: bytes
    damaged: bool


@dataclass(frozen=True, slots=True)
class SettleDone(Answer):
    """A message is settled; `positions` belong to the recipients that the action named."""

    number: int
    positions: Sequence[int]
    channels: frozenset[Channel]


@dataclass(frozen=True, slots=True)
class SettleFailed(Answer):
    """A message could not be settled and is still new."""

    number: int
    text: bytes
    damaged: bool


@dataclass(frozen=True, slots=True)
class RecipientsRead(Answer):
    """The next recipients of a pass; `settled` comes with the first, `complete` with the last."""

    number: int
    channel: Channel
    settled: Settled | None
    recipients: Sequence[StoredRecipient]
    complete: bool
    notices: frozenset[bytes] = frozenset()  # comes with the first, too; see Wishes.notices
    wishes: Wishes | None = None  # the same; all that is wanted


@dataclass(frozen=True, slots=True)
class RecipientsUnreadable(Answer):
    """A pass cannot go on; trying again helps unless `damaged`."""

    number: int
    channel: Channel
    text: bytes
    damaged: bool


@dataclass(frozen=True, slots=True)
class FailureRecorded(Answer):
    """`action` is done: the note is durable and the recipient marked; or nothing was written."""

    action: RecordFailure
    written: bool


@dataclass(frozen=True, slots=True)
class ChannelFinished(Answer):
    """The recipients of a channel are forgotten; or not, then `trouble` says why."""

    number: int
    channel: Channel
    trouble: bytes = b""


@dataclass(frozen=True, slots=True)
class BounceDone(Answer):
    """Nothing is left to tell the sender; `line` is for the log, `qp` the bounce that is queued."""

    number: int
    line: bytes = b""
    qp: int = 0


@dataclass(frozen=True, slots=True)
class BounceFailed(Answer):
    """The sender could not be told yet; trying again helps unless `damaged`."""

    number: int
    text: bytes
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Told(Answer):
    """A notice is queued, or is not wanted; or it could not be queued, and may be tried `again`."""

    notice: Tell
    line: bytes = b""  # for the log
    again: bool = False


@dataclass(frozen=True, slots=True)
class RemoveDone(Answer):
    """A message is gone; or not, then `trouble` says why."""

    number: int
    trouble: bytes = b""


@dataclass(frozen=True, slots=True)
class Surveyed(Answer):
    """These messages are settled; for what could not be read `troubles` has lines of the log.

    `incomplete`: another survey may find more.
    """

    scheduled: Sequence[Scheduled]
    troubles: Sequence[bytes]
    incomplete: bool


@dataclass(frozen=True, slots=True)
class Swept(Event):
    """The search for leftovers has ended."""


@dataclass(frozen=True, slots=True)
class Trouble(Event):
    """Something went wrong that changes nothing but the log."""

    line: bytes


class Action:
    """Something to be done."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Log(Action):
    """Write a line into the log."""

    line: bytes


@dataclass(frozen=True, slots=True)
class StartDelivery(Action):
    """Give a job to the spawner of a channel."""

    channel: Channel
    job: Job


@dataclass(frozen=True, slots=True)
class LookForNew(Action):
    """List at most `limit` new messages. Answered: Listed."""

    limit: int


@dataclass(frozen=True, slots=True)
class ReadNew(Action):
    """Read the envelope of a new message. Answered: NewMessage, NewUnreadable."""

    number: int
    limit: int  # forward paths; where there are more, some of them are of no use


@dataclass(frozen=True, slots=True)
class Settle(Action):
    """Settle a message with these recipients. Answered: SettleDone, SettleFailed."""

    number: int
    reverse_path: bytes
    birth: int
    recipients: Sequence[Recipient]


@dataclass(frozen=True, slots=True)
class SettleFromEnvelope(Action):
    """Settle a message with all that its envelope names. Answered: SettleDone, SettleFailed."""

    number: int
    birth: int
    routing: Routing


@dataclass(frozen=True, slots=True)
class ReadRecipients(Action):
    """Read the next recipients of a pass. Answered: RecipientsRead, RecipientsUnreadable."""

    number: int
    channel: Channel
    first: bool  # a new pass begins


@dataclass(frozen=True, slots=True)
class StopReading(Action):
    """The pass over a channel of a message ends early."""

    number: int
    channel: Channel


@dataclass(frozen=True, slots=True)
class MarkDone(Action):
    """Remember that a recipient needs no more attempts."""

    number: int
    channel: Channel
    position: int


@dataclass(frozen=True, slots=True)
class RecordFailure(Action):
    """Append the note durably, only then mark the recipient. Answered: FailureRecorded."""

    number: int
    channel: Channel
    position: int
    note: bytes


@dataclass(frozen=True, slots=True)
class FinishChannel(Action):
    """Forget the recipients of a channel, all are done. Answered: ChannelFinished."""

    number: int
    channel: Channel


@dataclass(frozen=True, slots=True)
class Bounce(Action):
    """Tell the sender of all failures. Answered: BounceDone, BounceFailed.

    None: the store knows the reverse path and the notes, if there are any.
    """

    number: int
    reverse_path: bytes | None
    notes: bytes | None


@dataclass(frozen=True, slots=True)
class Tell(Action):
    """Tell the sender what became of a recipient, if that was asked for. Answered: Told.

    `recipient` is named as the sender knows it; `text` is what the report says.
    """

    delivery: int
    number: int
    reverse_path: bytes
    recipient: bytes
    text: bytes
    action: Fate
    retry_until: int | None


@dataclass(frozen=True, slots=True)
class Remove(Action):
    """Remove a message that needs nothing any more. Answered: RemoveDone."""

    number: int


@dataclass(frozen=True, slots=True)
class SetRetryTime(Action):
    """Remember for the next start when a channel of a message is due."""

    number: int
    channel: Channel
    time: int


@dataclass(frozen=True, slots=True)
class Survey(Action):
    """List all settled messages, as at the start. Answered: Surveyed.

    No removal that comes after it is answered before it: what it lists was not
    forgotten meanwhile.
    """


@dataclass(frozen=True, slots=True)
class Sweep(Action):
    """Look for what failed acceptances left behind. Swept follows, but is not waited for."""


@dataclass(frozen=True, slots=True)
class Exit(Action):
    """End the process once all actions before this one are carried out."""


ANSWERED = frozenset(
    {
        *(LookForNew, ReadNew, Settle, SettleFromEnvelope, ReadRecipients),
        *(RecordFailure, FinishChannel, Bounce, Tell, Remove, Survey),
    }
)
