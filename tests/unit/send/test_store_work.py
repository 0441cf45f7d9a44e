"""What becomes of the core's actions on a real queue, when the disk says no."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded
from tests.support.queues import draft, file_intake, file_store, files_in, make_home

from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.message.delivery_status import DELIVERED
from pyqmail.queue.store import CleanerLost, Recipient
from pyqmail.send import events
from pyqmail.send.bounces import BounceMessage, BounceSettings
from pyqmail.send.routing import Routing
from pyqmail.send.store_work import WINDOW, QueueNotStarted, StoreWork

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyqmail.queue.file_store import FileStore

SETTINGS = BounceSettings(
    b"MAILER-DAEMON", b"here", b"postmaster@here", is_multipart=False, bouncemaxbytes=0
)
NOTE = b"<a@here>:\nno\n\n"


class Queue:
    """A queue with one settled message, and what carries out actions on it."""

    def __init__(self, top: Path) -> None:
        self.home = make_home(str(top))
        self.store: FileStore = file_store(self.home)
        self.bounces: list[bytes] = []
        self.refusal: Exception | None = None
        self.work = StoreWork(self.store, SETTINGS, self._inject)
        self.number = self.accept()
        self.name = f"{self.number % 23}/{self.number}"

    def accept(self, *forward_paths: bytes) -> int:
        intake = file_intake(self.home)
        known = set(self.store.new_messages())
        assert intake.accept([draft(intake, forward_paths=forward_paths or (b"a@here",))]) == [None]
        (number,) = set(self.store.new_messages()) - known
        return number

    def _inject(self, bounce: BounceMessage) -> int:
        if self.refusal is not None:
            raise self.refusal
        self.bounces.append(b"".join(bounce.pieces))
        return 20357

    def settle(self, *addresses: bytes) -> None:
        recipients = [Recipient("local", address) for address in addresses or (b"a@here",)]
        self.do(events.Settle(self.number, b"s@far", 1_000_000, recipients))

    def do(self, *actions: events.Action) -> list[events.Event]:
        return list(self.work.work(actions))

    def path(self, kind: str) -> str:
        name = str(self.number) if kind in ("todo", "bounce", "intd") else self.name
        return f"{self.home}/queue/{kind}/{name}"

    def damage(self, kind: str, data: bytes) -> None:
        with open(self.path(kind), "wb") as file:
            file.write(data)


@pytest.fixture
def queued(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


def lines(happened: Sequence[events.Event]) -> list[bytes]:
    return [event.line for event in happened if isinstance(event, events.Trouble)]


def test_a_mark_that_cannot_be_written_is_a_warning(queued: Queue) -> None:
    queued.settle()

    with failing(errno.EIO, 0, on="write_at"):
        happened = queued.do(events.MarkDone(queued.number, "local", 0))

    assert lines(happened) == [
        b"warning: trouble marking local/%b; message will be delivered twice!"
        % queued.name.encode()
    ]


def test_a_retry_time_that_cannot_be_kept_is_a_warning(queued: Queue) -> None:
    queued.settle()
    os.unlink(queued.path("local"))

    happened = queued.do(events.SetRetryTime(queued.number, "local", 1))

    assert lines(happened) == [
        b"warning: unable to utime local/%b; message will be retried too soon"
        % queued.name.encode()
    ]


def test_a_failure_is_marked_after_its_note_is_durable(queued: Queue) -> None:
    queued.settle()
    action = events.RecordFailure(queued.number, "local", 0, NOTE)

    with recorded() as calls:
        assert queued.do(action) == [events.FailureRecorded(action, written=True)]

    names = [call[0] for call in calls]
    assert names.index("write") < names.index("sync") < names.index("write_at")
    assert files_in(queued.home, "bounce") == {f"bounce/{queued.number}": NOTE}


@pytest.mark.parametrize("call", ["append", "write", "sync"])
def test_a_note_that_cannot_be_written_leaves_the_recipient_open(queued: Queue, call: str) -> None:
    queued.settle()
    action = events.RecordFailure(queued.number, "local", 0, NOTE)

    with failing(errno.ENOSPC, 0, on=call):
        happened = queued.do(action)

    assert happened == [events.FailureRecorded(action, written=False)]
    assert files_in(queued.home, "local") == {f"local/{queued.name}": b"Ta@here\0"}
    assert b"".join(files_in(queued.home, "bounce").values()) == b""


def test_recipients_before_the_damage_are_read_before_it_is_told(queued: Queue) -> None:
    queued.settle()
    queued.damage("local", b"Ta@here\0Tb@here\0Xrubbish\0")

    (first,) = queued.do(events.ReadRecipients(queued.number, "local", first=True))
    (second,) = queued.do(events.ReadRecipients(queued.number, "local", first=False))

    assert isinstance(first, events.RecipientsRead)
    assert [recipient.address for recipient in first.recipients] == [b"a@here", b"b@here"]
    assert not first.complete
    name = queued.name.encode()
    assert second == events.RecipientsUnreadable(
        queued.number, "local", b"unknown record type in local/%b!" % name, damaged=True
    )


def test_trouble_in_the_middle_of_a_list_is_no_damage(queued: Queue) -> None:
    addresses = [b"r%d@here" % number for number in range(WINDOW + 1)]
    queued.settle(*addresses)

    def broken() -> object:
        raise OSError(errno.EIO, "broken")
        yield

    queued.do(events.ReadRecipients(queued.number, "local", first=True))
    queued.work._passes[queued.number, "local"] = broken()  # type: ignore[assignment]  # noqa: SLF001
    (event,) = queued.do(events.ReadRecipients(queued.number, "local", first=False))

    assert isinstance(event, events.RecipientsUnreadable)
    assert not event.damaged


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"rubbish\0", b"unknown record type in todo/%d"),
        (b"", b"trouble reading todo/%d"),
        (b"u1\0p1\0Fs@far", b"trouble reading todo/%d"),
        (b"u1\0p20345\0Fs@far\0Ta@here\0Da@here\0", b"unknown record type in todo/%d"),
    ],
)
def test_a_damaged_envelope_is_damage(queued: Queue, data: bytes, text: bytes) -> None:
    queued.damage("todo", data)

    (event,) = queued.do(events.ReadNew(queued.number, 100))

    assert event == events.NewUnreadable(queued.number, text % queued.number, damaged=True)


def test_a_bounce_without_its_message_is_damage(queued: Queue) -> None:
    queued.settle()
    queued.do(events.RecordFailure(queued.number, "local", 0, NOTE))
    os.unlink(queued.path("mess"))

    (event,) = queued.do(events.Bounce(queued.number, None, None))

    assert isinstance(event, events.BounceFailed)
    assert event.damaged


def test_a_bounce_is_told_once_and_its_notes_are_forgotten(queued: Queue) -> None:
    queued.settle()
    queued.do(events.RecordFailure(queued.number, "local", 0, NOTE))

    (event,) = queued.do(events.Bounce(queued.number, None, None))

    assert event == events.BounceDone(
        queued.number, b"bounce msg %d qp 20357" % queued.number, 20357
    )
    assert NOTE in queued.bounces[0]
    assert files_in(queued.home, "bounce") == {}
    assert queued.do(events.Bounce(queued.number, None, None)) == [events.BounceDone(queued.number)]


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (QueueNotStarted(b"x"), b"unable to start qmail-queue, will try later"),
        (OSError(errno.EPIPE, "x"), b"trouble injecting bounce message, will try later"),
        (RuntimeError("x"), b"trouble injecting bounce message, will try later"),
    ],
)
def test_a_bounce_that_is_not_queued_keeps_its_notes(
    queued: Queue, refusal: Exception, text: bytes
) -> None:
    queued.settle()
    queued.do(events.RecordFailure(queued.number, "local", 0, NOTE))
    queued.refusal = refusal

    happened = queued.do(events.Bounce(queued.number, None, None))

    assert happened == [events.BounceFailed(queued.number, text)]
    assert files_in(queued.home, "bounce") == {f"bounce/{queued.number}": NOTE}


def test_notes_that_cannot_be_removed_are_named(queued: Queue) -> None:
    queued.settle()
    queued.do(events.RecordFailure(queued.number, "local", 0, NOTE))

    with failing(errno.EIO, 0, on="unlink"):
        happened = queued.do(events.Bounce(queued.number, None, None))

    text = b"unable to unlink bounce/%d" % queued.number
    assert happened == [events.BounceFailed(queued.number, text)]


def test_a_lost_cleaner_is_told_beside_the_answer(queued: Queue) -> None:
    class Lost:
        def clean(self, requests: Sequence[bytes]) -> bytes:
            raise CleanerLost(b"gone %d" % len(requests))

    queued.store._cleaner = Lost()  # noqa: SLF001

    happened = queued.do(events.Remove(queued.number))

    assert happened[0] == events.CleanerLost()
    assert isinstance(happened[1], events.RemoveDone)
    assert happened[1].trouble


def test_a_survey_finds_what_is_settled_and_says_what_it_could_not_read(queued: Queue) -> None:
    queued.settle()
    queued.accept(b"b@here")
    os.rename(f"{queued.home}/queue/info/3", f"{queued.home}/queue/info/gone")

    (event,) = queued.do(events.Survey())

    assert isinstance(event, events.Surveyed)
    if queued.number % 23 != 3:
        assert [scheduled.number for scheduled in event.scheduled] == [queued.number]
    assert list(event.troubles) == [b"alert: unable to opendir info/3, sleeping..."]
    assert event.incomplete


def tell(number: int, recipient: bytes = b"a@here") -> events.Tell:
    return events.Tell(1, number, b"s@far", recipient, b"did 1+0+0\n", DELIVERED, None)


def wishing(queued: Queue) -> int:
    intake = file_intake(queued.home)
    known = set(queued.store.new_messages())
    wishes = (b"NOTIFY=SUCCESS TO=a@here", b"NOTIFY=NEVER TO=b@here")
    paths = (b"a@here", b"b@here")
    assert intake.accept([draft(intake, forward_paths=paths, additions=wishes)]) == [None]
    (number,) = set(queued.store.new_messages()) - known
    return number


def test_what_may_have_to_be_told_is_known_when_a_message_is_read_new_or_settled(
    queued: Queue,
) -> None:
    number = wishing(queued)
    (new,) = queued.do(events.ReadNew(number, 100))
    recipients = [Recipient("local", b"a@here"), Recipient("local", b"b@here")]
    queued.do(events.Settle(number, b"s@far", 1_000_000, recipients))
    (read,) = queued.do(events.ReadRecipients(number, "local", first=True))

    assert isinstance(new, events.NewMessage)
    assert isinstance(read, events.RecipientsRead)
    assert new.notices == read.notices == frozenset({b"SUCCESS"})


def test_a_message_without_wishes_has_nothing_to_tell(queued: Queue) -> None:
    (new,) = queued.do(events.ReadNew(queued.number, 100))

    assert isinstance(new, events.NewMessage)
    assert new.notices == frozenset()


def test_a_notice_is_queued_for_whom_it_was_asked_and_for_nobody_else(queued: Queue) -> None:
    number = wishing(queued)
    wanted, unwanted = tell(number), tell(number, b"b@here")

    happened = queued.do(wanted, unwanted)

    line = b"notice msg %d qp 20357" % number
    assert happened == [events.Told(wanted, line), events.Told(unwanted)]
    (notice,) = queued.bounces
    assert b"\nAction: delivered\n" in notice


def test_a_notice_that_cannot_be_queued_may_be_tried_again(queued: Queue) -> None:
    action = tell(wishing(queued))
    queued.refusal = QueueNotStarted(b"")

    assert queued.do(action) == [
        events.Told(action, b"warning: trouble injecting notice, will try later", again=True)
    ]


def test_a_notice_about_a_message_that_is_lost_is_not_tried_again(queued: Queue) -> None:
    number = wishing(queued)
    action = tell(number)
    os.unlink(f"{queued.home}/queue/mess/{number % 23}/{number}")

    (told,) = queued.do(action)

    assert isinstance(told, events.Told)
    assert not told.again
    assert told.line.startswith(b"warning: unable to open mess/")


def test_a_long_list_is_settled_by_destination_and_loses_nobody(queued: Queue) -> None:
    paths = [b"r%d@d%d.example" % (number, number % 7) for number in range(300)]
    number = queued.accept(*paths)
    routing = Routing(ConstantMap([b"here"]), ColonMap([]), ConstantMap([]), b"here")

    queued.do(events.SettleFromEnvelope(number, 1_000_000, routing))

    kept = [recipient.address for recipient in queued.store.read_recipients(number, "remote")]
    domains = [path.partition(b"@")[2] for path in kept]
    assert sorted(kept) == sorted(paths)
    assert domains == sorted(domains)
