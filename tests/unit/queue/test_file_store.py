from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import file_intake, file_store, files_in, make_home
from tests.support.store_conformance import BIRTH, Queue, StoreConformance, accept_one, settle_one

from pyqmail.queue import layout
from pyqmail.queue.store import DamagedMessage, Recipient, Scheduled, StoreFailure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERYTHING = ("pid", "mess", "intd", "todo", "info", "local", "remote", "bounce")


@pytest.fixture
def home(tmp_path: Path) -> str:
    return make_home(str(tmp_path / "home"))


@pytest.fixture
def queue(home: str) -> Iterator[Queue]:
    store = file_store(home)
    yield file_intake(home), store
    store.close()


def put(home: str, name: str, data: bytes) -> None:
    with open(f"{home}/queue/{name}", "wb") as file:
        file.write(data)


class TestFileStore(StoreConformance):
    """The conformance suite on files."""


def test_a_settled_message_is_qmails_own_files(home: str, queue: Queue) -> None:
    number = accept_one(queue)

    queue[1].settle(
        number,
        b"sue@example.net",
        BIRTH,
        [Recipient("local", b"a@x", done=True), Recipient("remote", b"b@y")],
    )

    assert files_in(home, "intd", "todo", "info", "local", "remote", "bounce") == {
        layout.info_path(number): b"Fsue@example.net\0",
        layout.recipients_path("local", number): b"Da@x\0",
        layout.recipients_path("remote", number): b"Tb@y\0",
    }
    status = os.stat(f"{home}/queue/{layout.info_path(number)}")
    assert (status.st_mtime, status.st_mode & 0o777) == (BIRTH, 0o600)


def test_without_recipients_of_a_channel_it_has_no_file(home: str, queue: Queue) -> None:
    settle_one(queue)

    assert files_in(home, "local", "remote") == {}


def test_the_second_store_does_not_get_charge(home: str, queue: Queue) -> None:
    first, second = queue[1].take_charge(), file_store(home)

    assert first
    assert not second.take_charge()
    second.close()


@pytest.mark.parametrize(
    ("todo", "text"),
    [
        (b"", b"trouble reading todo/28"),
        (b"u1\0p2\0", b"trouble reading todo/28"),
        (b"u1\0p2\0Fa", b"trouble reading todo/28"),
        (b"ux\0p2\0Fa\0", b"trouble reading todo/28"),
        (b"u1\0p2\0Ta\0Fb\0", b"unknown record type in todo/28"),
        (b"\0", b"unknown record type in todo/28"),
        (b"x" * 200_000, b"trouble reading todo/28"),
    ],
)
def test_a_damaged_envelope_says_so_at_once(
    home: str, queue: Queue, todo: bytes, text: bytes
) -> None:
    put(home, "mess/5/28", b"message")
    put(home, "todo/28", todo)

    with pytest.raises(DamagedMessage) as damage:
        queue[1].open_envelope(28)

    assert damage.value.text == text


@pytest.mark.parametrize("rest", [b"Db\0", b"Xb\0", b"\0", b"Tb"])
def test_a_damaged_recipient_is_not_passed_over(home: str, queue: Queue, rest: bytes) -> None:
    put(home, "mess/5/28", b"message")
    put(home, "todo/28", b"u1\0p2\0Fa\0Tc\0" + rest)

    with queue[1].open_envelope(28) as envelope:
        recipients = iter(envelope)
        assert next(recipients) == b"c"
        with pytest.raises(DamagedMessage):
            next(recipients)


def test_an_envelope_of_another_message_is_damaged(home: str, queue: Queue) -> None:
    # A power cut brought it back while a new message with the number was being written.
    put(
        home,
        "mess/5/28",
        b"Received: (qmail 3 invoked by uid 1); 1 Jan 2026 00:00:00 -0000\n\nhi\n",
    )
    put(home, "todo/28", b"u1\0p2\0Fa\0Tb\0")

    with pytest.raises(DamagedMessage) as damage:
        queue[1].open_envelope(28)

    assert damage.value.text == b"trouble reading todo/28"
    assert damage.value.reason == b"it belongs to another message"


def test_an_envelope_whose_message_was_not_written_is_damaged(home: str, queue: Queue) -> None:
    put(home, "mess/5/28", b"")
    put(home, "todo/28", b"u1\0p2\0Fa\0Tb\0")

    with pytest.raises(DamagedMessage):
        queue[1].open_envelope(28)


def test_a_damaged_envelope_leaves_nothing_open(home: str, queue: Queue) -> None:
    put(home, "mess/5/28", b"message")
    put(home, "todo/28", b"u1\0")
    before = os.listdir("/proc/self/fd")

    with pytest.raises(DamagedMessage):
        queue[1].open_envelope(28)

    assert os.listdir("/proc/self/fd") == before


def test_an_envelope_without_message_is_damaged(home: str, queue: Queue) -> None:
    put(home, "todo/28", b"u1\0p2\0Fa\0")

    with pytest.raises(DamagedMessage) as damage:
        queue[1].open_envelope(28)

    assert damage.value.text == b"unable to stat mess/5/28"


@pytest.mark.parametrize("info", [b"", b"Tx\0", b"Fx"])
def test_a_damaged_info_is_reported(home: str, queue: Queue, info: bytes) -> None:
    put(home, "mess/5/28", b"message")
    put(home, "info/5/28", info)

    with pytest.raises(DamagedMessage) as damage:
        queue[1].read_settled(28)

    assert damage.value.text == b"trouble reading info/5/28"


def test_a_damaged_recipient_file_gives_what_is_whole(home: str, queue: Queue) -> None:
    put(home, "local/5/28", b"Ta\0Xb\0Tc\0")

    recipients = queue[1].read_recipients(28, "local")

    assert next(recipients).address == b"a"
    with pytest.raises(DamagedMessage) as damage:
        next(recipients)
    assert damage.value.text == b"unknown record type in local/5/28!"


def test_names_that_are_no_numbers_are_not_seen(home: str, queue: Queue) -> None:
    for name in ("todo/x", "todo/28x", "todo/\u0663", "info/5/.tmp", "mess/5/28.old"):
        put(home, name, b"")

    assert list(queue[1].new_messages()) == []
    assert list(queue[1].scheduled_messages()) == []
    assert list(queue[1].leftovers(2**40)) == []


def test_a_record_whose_message_is_lost_is_set_aside(home: str, queue: Queue) -> None:
    put(home, "info/5/28", b"Fa\0")
    put(home, "local/5/28", b"Tb\0")

    (failure,) = queue[1].scheduled_messages()

    assert isinstance(failure, DamagedMessage)
    assert failure.text == b"unable to stat mess/5/28; info/5/28.lost kept"
    assert list(queue[1].scheduled_messages()) == []
    assert files_in(home, "info") == {"info/5/28.lost": b"Fa\0"}


def test_trouble_with_one_message_does_not_hide_the_others(home: str, queue: Queue) -> None:
    put(home, "info/5/28", b"Fa\0")
    number = settle_one(queue, Recipient("local", b"a@x"))
    queue[1].set_retry_time(number, "local", 7)

    found = list(queue[1].scheduled_messages())

    assert Scheduled(number, 7, None) in found
    assert len(found) == 2


def test_a_missing_directory_does_not_hide_the_others(home: str, queue: Queue) -> None:
    number = settle_one(queue)
    os.rmdir(f"{home}/queue/info/{(number + 1) % layout.SPLIT}")

    found = list(queue[1].scheduled_messages())

    assert {type(item) for item in found} == {Scheduled, StoreFailure}


def test_a_leftover_is_older_than_36_hours(home: str, queue: Queue) -> None:
    put(home, "mess/5/28", b"half a mess")
    put(home, "intd/28", b"")
    os.utime(f"{home}/queue/mess/5/28", (5000, 1000))

    young = list(queue[1].leftovers(1000 + 129600))
    old = list(queue[1].leftovers(1001 + 129600))

    assert (young, old) == ([], [28])
    queue[1].remove_leftover(28)
    assert files_in(home, *EVERYTHING) == {}


def test_stale_recipients_do_not_outlive_the_settling_of_a_new_message(
    home: str, queue: Queue
) -> None:
    number = accept_one(queue)
    put(home, layout.recipients_path("remote", number), b"Told@x\0")
    put(home, layout.bounce_path(number), b"old note")

    queue[1].settle(number, b"", BIRTH, [Recipient("local", b"new@x")])

    assert list(queue[1].read_recipients(number, "remote")) == []
    assert queue[1].open_bounce(number) is None


def test_a_note_that_cannot_be_written_leaves_no_part(home: str, queue: Queue) -> None:
    number = settle_one(queue, Recipient("local", b"a@x"))
    queue[1].note_failure(number, b"first")
    os.rename(f"{home}/queue/bounce", f"{home}/queue/gone")

    with pytest.raises(StoreFailure) as failure:
        queue[1].note_failure(number, b"second")

    assert failure.value.text == b"unable to append to bounce message"
    assert failure.value.reason == b"file does not exist"
