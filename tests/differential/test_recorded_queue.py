"""A queue that the original has left is ours as it lies: no file changes until somebody is served.

`queue_of_the_original.json` has the queue of notqmail 1.08 with four messages, twice:
stopped, with one message that has not been looked at; and stopped again after a short run. Times
and numbers are the original's.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.queues import file_store, files_in, make_home

from pyqmail.control.cdb import write_cdb
from pyqmail.queue.store import Recipient, Scheduled
from pyqmail.send.configuration import read_routing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.queue.file_store import FileStore

RECORDED = Path(__file__).parent / "queue_of_the_original.json"
FOLDERS = ("pid", "mess", "intd", "todo", "info", "local", "remote", "bounce")
CHANNELS = ("local", "remote")


class Queue:
    """One of the two, laid into a home of ours."""

    def __init__(self, name: str, home: Path) -> None:
        self.home = make_home(str(home))
        recorded: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
        self.files = {each["name"]: each for each in recorded[name]}
        for path, each in self.files.items():
            place = home / "queue" / path
            place.write_bytes(each["text"].encode("latin-1"))
            os.utime(place, (each["mtime"], each["mtime"]))

    def numbers(self, folder: str) -> set[int]:
        """Return the messages that have a file there."""
        return {int(os.path.basename(name)) for name in self.files if name.startswith(f"{folder}/")}

    def text(self, folder: str, number: int) -> bytes:
        """Return what a file of a message says."""
        part = (
            f"{folder}/{number}"
            if folder in {"bounce", "todo"}
            else f"{folder}/{number % 23}/{number}"
        )
        return self.files[part]["text"].encode("latin-1") if part in self.files else b""

    def time(self, folder: str, number: int) -> int | None:
        """Return when a file of a message was changed: the next attempt, or its birth."""
        each = self.files.get(f"{folder}/{number % 23}/{number}")
        return None if each is None else each["mtime"]


@pytest.fixture(params=["first", "second"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Queue:
    return Queue(request.param, tmp_path)


@pytest.fixture
def store(queue: Queue) -> Iterator[FileStore]:
    made = file_store(queue.home)
    yield made
    made.close()


def test_every_message_keeps_its_times(queue: Queue, store: FileStore) -> None:
    found = {
        each.number: each for each in store.scheduled_messages() if isinstance(each, Scheduled)
    }

    settled = queue.numbers("info") - queue.numbers("todo")
    assert set(found) == settled
    assert len(settled) >= 3
    for number, each in found.items():
        assert (each.local, each.remote) == (
            queue.time("local", number),
            queue.time("remote", number),
        )
        assert store.read_settled(number).birth == queue.time("info", number)
    assert set(store.new_messages()) == queue.numbers("todo")


def test_every_recipient_is_served_or_done_as_it_was(queue: Queue, store: FileStore) -> None:
    seen = set()
    for number in queue.numbers("info") - queue.numbers("todo"):
        assert b"F" + store.read_settled(number).reverse_path + b"\0" == queue.text("info", number)
        for channel in CHANNELS:
            if queue.time(channel, number) is None:
                continue
            found = store.read_recipients(number, channel)
            records = [(b"D" if each.done else b"T") + each.address + b"\0" for each in found]
            assert b"".join(records) == queue.text(channel, number)
            seen |= {record[:1] for record in records}
    assert seen == {b"D", b"T"}


def test_what_failed_is_told_in_the_original_s_words(queue: Queue, store: FileStore) -> None:
    (number,) = queue.numbers("bounce")

    descriptor = store.open_bounce(number)

    assert descriptor is not None
    with open(descriptor, "rb") as file:
        assert file.read() == queue.text("bounce", number)


def test_looking_at_it_changes_nothing(queue: Queue, store: FileStore) -> None:
    store.take_charge()
    for each in store.scheduled_messages():
        assert isinstance(each, Scheduled)
    list(store.new_messages())

    wanted = {name: each["text"].encode("latin-1") for name, each in queue.files.items()}
    assert files_in(queue.home, *FOLDERS) == wanted
    for name, each in queue.files.items():
        assert int((Path(queue.home) / "queue" / name).stat().st_mtime) == each["mtime"]


def test_a_new_message_is_written_down_byte_for_byte_as_the_original_did(tmp_path: Path) -> None:
    before, after = Queue("first", tmp_path / "before"), Queue("second", tmp_path / "after")
    for name in ("control", "users"):
        (tmp_path / "before" / name).mkdir()
    (tmp_path / "before/control/me").write_text("mail.example.org\n")
    write_cdb(str(tmp_path / "before/users/cdb"), [])
    routing = read_routing(before.home)
    (number,) = before.numbers("todo")
    records = before.text("todo", number).split(b"\0")
    (sender,) = [each[1:] for each in records if each[:1] == b"F"]
    routed = [routing.route(each[1:]) for each in records if each[:1] == b"T"]
    store = file_store(before.home)

    store.settle(number, sender, 0, [Recipient(each.channel, each.address) for each in routed])
    store.close()

    made = files_in(before.home, "info", *CHANNELS)
    part = f"{number % 23}/{number}"
    assert made[f"info/{part}"] == after.text("info", number)
    for channel in CHANNELS:
        assert unserved(made[f"{channel}/{part}"]) == unserved(after.text(channel, number))
    assert number not in set(store.new_messages())


def unserved(records: bytes) -> list[bytes]:
    """Return the recipients, whether they have been served since or not."""
    return [record[1:] for record in records.split(b"\0")]
