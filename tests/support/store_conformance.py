"""What every store must do, written against the interfaces of queue/store.py alone.

A store's own test class inherits from `StoreConformance` and has a fixture
`queue` that returns an intake and a store on one empty queue.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import PID, UID, draft

from pyqmail.queue.store import (
    DamagedMessage,
    Intake,
    Recipient,
    Scheduled,
    Settled,
    Settlement,
    Store,
    StoredRecipient,
    StoreFailure,
)
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator

Queue = tuple[Intake, Store]

BIRTH = 1_700_000_000
LOCAL = Recipient("local", b"joe@example.org")
REMOTE = Recipient("remote", b"ann@far.example")


def accept_one(queue: Queue, **parts: object) -> int:
    """Accept a message and return its number."""
    intake, store = queue
    before = set(store.new_messages())
    assert intake.accept([draft(intake, **parts)]) == [None]
    (number,) = set(store.new_messages()) - before
    return number


def settle_one(queue: Queue, *recipients: Recipient) -> int:
    number = accept_one(queue)
    queue[1].settle(number, b"sue@example.net", BIRTH, recipients)
    return number


def read(descriptor: int | None) -> bytes:
    assert descriptor is not None
    try:
        return files.read_rest(descriptor)
    finally:
        os.close(descriptor)


def addresses(store: Store, number: int) -> dict[str, list[tuple[bytes, bool]]]:
    return {
        channel: [(r.address, r.done) for r in store.read_recipients(number, channel)]
        for channel in ("local", "remote")
    }


class StoreConformance:
    def test_what_is_settled_together_is_settled_as_if_alone(self, queue: Queue) -> None:
        first, second = accept_one(queue), accept_one(queue)

        results = queue[1].settle_all(
            [
                Settlement(first, b"sue@example.net", BIRTH, [LOCAL, REMOTE]),
                Settlement(second, b"", BIRTH + 1, [REMOTE]),
            ]
        )

        assert [list(positions) for positions in results] == [[0, 0], [0]]
        assert addresses(queue[1], first) == {
            "local": [(LOCAL.address, False)],
            "remote": [(REMOTE.address, False)],
        }
        assert addresses(queue[1], second) == {"local": [], "remote": [(REMOTE.address, False)]}
        assert queue[1].read_settled(second).birth == BIRTH + 1
        assert list(queue[1].new_messages()) == []

    def test_one_that_cannot_be_settled_keeps_no_other_from_it(self, queue: Queue) -> None:
        numbers = [accept_one(queue) for _ in range(3)]
        queue[1].settle(numbers[1], b"sue@example.net", BIRTH, [LOCAL])  # it is not new any more
        settlements = [Settlement(number, b"", BIRTH, [REMOTE]) for number in numbers]

        results = queue[1].settle_all(settlements)

        assert [isinstance(result, StoreFailure) for result in results] == [False, True, False]
        assert queue[1].read_settled(numbers[1]).reverse_path == b"sue@example.net"
        assert list(queue[1].new_messages()) == []

    def test_more_are_settled_together_than_files_can_be_open(self, queue: Queue) -> None:
        numbers = [accept_one(queue) for _ in range(150)]

        results = queue[1].settle_all([Settlement(n, b"", BIRTH, [REMOTE]) for n in numbers])

        assert [list(positions) for positions in results] == [[0]] * 150

    def test_wishes_are_kept_as_long_as_the_message(self, queue: Queue) -> None:
        wishes = [b"RET=HDRS ", b"NOTIFY=NEVER TO=joe@example.org"]
        number = accept_one(queue, additions=wishes)
        with queue[1].open_envelope(number) as envelope:
            assert list(envelope) == [b"joe@example.org"]
        assert list(queue[1].read_wishes(number)) == wishes

        queue[1].settle(number, b"sue@example.net", BIRTH, [LOCAL])

        assert list(queue[1].read_wishes(number)) == wishes
        assert queue[1].read_settled(number).reverse_path == b"sue@example.net"

    def test_most_messages_come_without_wishes(self, queue: Queue) -> None:
        number = accept_one(queue)
        assert list(queue[1].read_wishes(number)) == []

        queue[1].settle(number, b"sue@example.net", BIRTH, [LOCAL])

        assert list(queue[1].read_wishes(number)) == []

    def test_an_accepted_message_is_new_and_whole(self, queue: Queue) -> None:
        number = accept_one(queue, body=b"To: x\n\n\0\xff\r\n")

        message = read(queue[1].open_message(number))

        field, rest = message.split(b"\n", 1)
        assert field.startswith(b"Received: (qmail %d invoked by uid %d); " % (PID, UID))
        assert rest == b"To: x\n\n\0\xff\r\n"

    def test_the_envelope_is_as_it_was_given(self, queue: Queue) -> None:
        number = accept_one(queue, reverse_path=b"", forward_paths=[b"a@b", b"", b"\xe4@c"])

        with queue[1].open_envelope(number) as envelope:
            origin = (envelope.uid, envelope.pid, envelope.reverse_path)
            forward_paths = list(envelope)

        assert origin == (UID, PID, b"")
        assert forward_paths == [b"a@b", b"", b"\xe4@c"]

    def test_an_envelope_tells_the_size_of_the_message(self, queue: Queue) -> None:
        number = accept_one(queue, body=b"x" * 1000)

        with queue[1].open_envelope(number) as envelope:
            size = envelope.size

        assert size == len(read(queue[1].open_message(number)))

    def test_a_huge_message_with_a_huge_envelope_is_accepted(self, queue: Queue) -> None:
        paths = [b"user%d@example.org" % i for i in range(20_000)]
        number = accept_one(queue, body=b"line\n" * 50_000, forward_paths=paths)

        with queue[1].open_envelope(number) as envelope:
            assert list(envelope) == paths
        assert read(queue[1].open_message(number)).endswith(b"line\n" * 50_000)

    def test_a_batch_is_accepted_as_single_messages(self, queue: Queue) -> None:
        intake, store = queue
        drafts = [draft(intake, body=b"%d" % i) for i in range(5)]

        results = intake.accept(drafts)

        bodies = {read(store.open_message(n)).split(b"\n", 1)[1] for n in store.new_messages()}
        assert results == [None] * 5
        assert bodies == {b"0", b"1", b"2", b"3", b"4"}

    def test_an_empty_batch_is_no_trouble(self, queue: Queue) -> None:
        assert queue[0].accept([]) == []

    @pytest.mark.parametrize("size", [10, 200_000])
    def test_an_abandoned_draft_is_never_seen(self, queue: Queue, size: int) -> None:
        intake, store = queue

        unwanted = draft(intake, body=b"x" * size)
        unwanted.abandon()
        unwanted.abandon()

        assert list(store.new_messages()) == []
        assert list(store.leftovers(2**40)) == []

    def test_a_draft_is_not_seen_before_it_is_accepted(self, queue: Queue) -> None:
        draft(queue[0], body=b"x" * 200_000)

        assert list(queue[1].new_messages()) == []

    def test_an_arrival_makes_the_descriptor_readable_once(self, queue: Queue) -> None:
        store = queue[1]
        descriptor = store.arrivals()
        store.heard()
        quiet = select.select([descriptor], [], [], 0)[0]

        accept_one(queue)

        assert quiet == []
        assert select.select([descriptor], [], [], 0)[0] == [descriptor]
        store.heard()
        assert select.select([descriptor], [], [], 0)[0] == []

    def test_a_settled_message_is_no_longer_new(self, queue: Queue) -> None:
        number = settle_one(queue, LOCAL, REMOTE)

        assert list(queue[1].new_messages()) == []
        assert [found.number for found in queue[1].scheduled_messages()] == [number]

    def test_a_settled_message_keeps_what_it_was_given(self, queue: Queue) -> None:
        store = queue[1]
        number = settle_one(queue, REMOTE, LOCAL, Recipient("local", b"x@y", done=True))

        size = len(read(store.open_message(number)))
        assert store.read_settled(number) == Settled(b"sue@example.net", BIRTH, size)
        assert addresses(store, number) == {
            "local": [(LOCAL.address, False), (b"x@y", True)],
            "remote": [(REMOTE.address, False)],
        }

    def test_settling_returns_the_positions_that_reading_gives(self, queue: Queue) -> None:
        store = queue[1]
        number = accept_one(queue)
        recipients = [Recipient("local", b"a" * i) for i in range(5)]

        positions = store.settle(number, b"", BIRTH, recipients)

        stored = list(store.read_recipients(number, "local"))
        assert list(positions) == [recipient.position for recipient in stored]

    def test_settling_streams_a_list_of_any_length(self, queue: Queue) -> None:
        store = queue[1]
        number = accept_one(queue)

        store.settle(number, b"", BIRTH, (Recipient("remote", b"u%d@x" % i) for i in range(30_000)))

        *_, last = store.read_recipients(number, "remote")
        assert last.address == b"u29999@x"

    def test_settling_again_replaces_what_was_there(self, queue: Queue) -> None:
        store = queue[1]
        number = accept_one(queue)
        failing = iter([LOCAL])

        def recipients() -> Iterator[Recipient]:
            yield next(failing)
            raise StoreFailure(b"trouble reading the envelope")

        with pytest.raises(StoreFailure):
            store.settle(number, b"old@x", BIRTH, recipients())
        assert list(store.new_messages()) == [number]

        store.settle(number, b"new@x", BIRTH, [REMOTE])
        assert store.read_settled(number).reverse_path == b"new@x"
        assert addresses(store, number) == {"local": [], "remote": [(REMOTE.address, False)]}

    def test_a_settled_message_cannot_be_settled_again(self, queue: Queue) -> None:
        number = settle_one(queue, LOCAL)

        with pytest.raises(StoreFailure):
            queue[1].settle(number, b"", BIRTH, [])
        assert addresses(queue[1], number)["local"] == [(LOCAL.address, False)]

    def test_only_the_marked_recipient_is_done(self, queue: Queue) -> None:
        store = queue[1]
        number = settle_one(queue, *(Recipient("local", b"%d@x" % i) for i in range(3)))
        middle = list(store.read_recipients(number, "local"))[1]

        store.mark_done(number, "local", middle.position)

        after = list(store.read_recipients(number, "local"))
        assert [r.done for r in after] == [False, True, False]
        assert after[1] == StoredRecipient(middle.position, b"1@x", done=True)

    def test_a_finished_channel_has_no_recipients(self, queue: Queue) -> None:
        store = queue[1]
        number = settle_one(queue, LOCAL, REMOTE)

        store.finish_channel(number, "local")
        store.finish_channel(number, "local")

        assert addresses(store, number) == {"local": [], "remote": [(REMOTE.address, False)]}
        (scheduled,) = store.scheduled_messages()
        assert isinstance(scheduled, Scheduled)
        assert scheduled.local is None
        assert scheduled.remote is not None

    def test_a_retry_time_is_found_at_the_next_start(self, queue: Queue) -> None:
        store = queue[1]
        number = settle_one(queue, LOCAL, REMOTE)

        store.set_retry_time(number, "local", BIRTH + 5)
        store.set_retry_time(number, "remote", BIRTH + 7)

        assert list(store.scheduled_messages()) == [Scheduled(number, BIRTH + 5, BIRTH + 7)]

    def test_the_birth_does_not_change_with_what_happens_later(self, queue: Queue) -> None:
        store = queue[1]
        number = settle_one(queue, LOCAL)

        store.mark_done(number, "local", 0)
        store.set_retry_time(number, "local", 5)
        store.note_failure(number, b"<a>:\nno\n\n")

        assert store.read_settled(number).birth == BIRTH

    def test_a_new_message_is_not_scheduled(self, queue: Queue) -> None:
        accept_one(queue)

        assert list(queue[1].scheduled_messages()) == []

    def test_notes_are_kept_in_order(self, queue: Queue) -> None:
        store = queue[1]
        number = settle_one(queue, LOCAL)

        store.note_failure(number, b"<a>:\nno\n\n")
        store.note_failure(number, b"<b>:\nno\n\n")

        assert read(store.open_bounce(number)) == b"<a>:\nno\n\n<b>:\nno\n\n"

    def test_without_notes_there_is_no_bounce(self, queue: Queue) -> None:
        store = queue[1]
        number = settle_one(queue, LOCAL)
        absent = store.open_bounce(number)
        store.note_failure(number, b"note")

        store.discard_bounce(number)
        store.discard_bounce(number)

        assert absent is None
        assert store.open_bounce(number) is None

    @pytest.mark.parametrize("settled", [False, True])
    def test_a_removed_message_leaves_nothing(self, queue: Queue, *, settled: bool) -> None:
        store = queue[1]
        number = settle_one(queue, LOCAL, REMOTE) if settled else accept_one(queue)
        if settled:
            store.note_failure(number, b"note")

        assert store.remove([number]) == [None]
        assert store.remove([number]) == [None]

        assert list(store.new_messages()) == []
        assert list(store.scheduled_messages()) == []
        assert list(store.leftovers(2**40)) == []
        assert store.open_bounce(number) is None
        with pytest.raises(DamagedMessage):
            store.open_message(number)

    def test_removing_one_message_leaves_the_others(self, queue: Queue) -> None:
        store = queue[1]
        first, second, third = (accept_one(queue) for _ in range(3))
        store.settle(second, b"", BIRTH, [LOCAL])

        assert store.remove([first, second]) == [None, None]

        assert list(store.new_messages()) == [third]

    def test_what_is_new_or_settled_is_no_leftover(self, queue: Queue) -> None:
        accept_one(queue)
        settle_one(queue, LOCAL)

        assert list(queue[1].leftovers(2**40)) == []

    def test_a_message_that_does_not_exist_is_damaged(self, queue: Queue) -> None:
        store = queue[1]

        with pytest.raises(DamagedMessage):
            store.open_envelope(12345)
        with pytest.raises(DamagedMessage):
            store.read_settled(12345)
