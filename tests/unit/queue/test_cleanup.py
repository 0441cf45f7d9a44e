from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import files_in, make_home

from pyqmail.queue.cleanup import LocalCleaner, PipeCleaner, serve, sweep_pid_files
from pyqmail.queue.store import CleanerLost

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> str:
    home = make_home(str(tmp_path))
    for name in ("mess/5/28", "intd/28", "todo/28", "mess/6/29"):
        (tmp_path / "queue" / name).write_bytes(b"x")
    return home


@pytest.mark.parametrize(
    ("request_", "answer", "left"),
    [
        (b"foop/28", b"+", {"todo/28", "mess/6/29"}),
        (b"todo/28", b"+", {"mess/5/28", "mess/6/29"}),
        (b"todox28", b"+", {"mess/5/28", "mess/6/29"}),
        (b"foop/99", b"+", None),
        (b"FOOP/28", b"x", None),
        (b"foop/", b"x", None),
        (b"foop/2x", b"x", None),
        (b"foop/-28", b"x", None),
        (b"mess/28", b"x", None),
        (b"", b"x", None),
        (b"foop/" + b"1" * 95, b"x", None),
    ],
)
def test_a_request_removes_what_it_names(
    home: str, request_: bytes, answer: bytes, left: set[str] | None
) -> None:
    before = set(files_in(home))

    assert LocalCleaner(home).clean([request_]) == answer

    assert set(files_in(home)) == (before if left is None else left)


def test_what_cannot_be_removed_is_said(home: str) -> None:
    os.unlink(f"{home}/queue/intd/28")
    os.mkdir(f"{home}/queue/intd/28")

    assert LocalCleaner(home).clean([b"foop/28"]) == b"!"
    assert "mess/5/28" in files_in(home)


def test_a_file_in_pid_lives_for_36_hours(home: str) -> None:
    for name, time in (("old", 1000), ("young", 1001)):
        path = f"{home}/queue/pid/{name}"
        with open(path, "wb"):
            pass
        # The time of the last access means nothing: many file systems do not keep it.
        os.utime(path, (5, time))

    sweep_pid_files(f"{home}/queue", 1000 + 129600)

    assert list(files_in(home, "pid")) == ["pid/young"]


def test_pid_is_swept_at_the_start_and_every_31st_time(home: str) -> None:
    cleaner = LocalCleaner(home)

    def put() -> None:
        with open(f"{home}/queue/pid/old", "wb"):
            pass
        os.utime(f"{home}/queue/pid/old", (1, 1))

    put()
    cleaner.clean([b"x"])
    first = files_in(home, "pid")
    put()
    cleaner.clean([b"x"] * 30)
    thirtieth = files_in(home, "pid")
    cleaner.clean([b"x"])

    assert first == {}
    assert list(thirtieth) == ["pid/old"]
    assert files_in(home, "pid") == {}


def test_many_requests_are_answered_in_order_over_pipes(home: str) -> None:
    requests, to_cleaner = os.pipe()
    from_cleaner, responses = os.pipe()
    thread = threading.Thread(target=serve, args=(home, requests, responses))
    thread.start()

    answers = PipeCleaner(to_cleaner, from_cleaner).clean([b"foop/28", b"bad"] * 1000)
    os.close(to_cleaner)
    thread.join()

    assert answers == b"+x" * 1000
    for descriptor in (requests, from_cleaner, responses):
        os.close(descriptor)


def test_a_lost_cleaner_is_said() -> None:
    requests, to_cleaner = os.pipe()
    from_cleaner, responses = os.pipe()
    os.close(responses)

    with pytest.raises(CleanerLost):
        PipeCleaner(to_cleaner, from_cleaner).clean([b"foop/28"])

    for descriptor in (requests, to_cleaner, from_cleaner):
        os.close(descriptor)
