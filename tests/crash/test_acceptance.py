"""While a message is accepted: answered means queued, and nothing is ever half there."""

from __future__ import annotations

import errno
import itertools
import os
import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import dies_at, failing
from tests.support.power import State, Trace
from tests.support.queues import draft, file_intake, files_in, make_home

from pyqmail.queue.outcome import QueueFailure
from pyqmail.system import files
from pyqmail.system.file_system import FileSystem
from pyqmail.system.syncing import Syncer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pyqmail.queue.intake import FileIntake, SyncAll

SMALL = b"Subject: x\n\nhello\n"
LARGE = SMALL + b"line of a large message\n" * 8000  # more than is kept in memory
BODIES = [SMALL, LARGE]
ENVELOPE = b"u666\0p20345\0Fsue@example.net\0Tjoe@example.org\0"


@pytest.fixture(params=["each", "whole"])
def sync_all(
    request: pytest.FixtureRequest, home: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SyncAll]:
    """Give both ways to make a batch durable: file by file, and all of the file system at once."""
    if request.param == "each":
        yield files.sync_all
        return
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")
    monkeypatch.setattr(FileSystem, "has_little_to_write", lambda _self, _number: True)
    yield partial(sync_whole, f"{home}/queue")


def sync_whole(folder: str, descriptors: Sequence[int], directories: Iterable[str]) -> None:
    """Do it once; a child that is to die cannot use the threads of its parent."""
    syncer = Syncer([folder])
    try:
        syncer.sync_all(descriptors, directories)
    finally:
        syncer.close()


@pytest.fixture
def home(tmp_path: Path) -> str:
    return make_home(str(tmp_path / "home"))


def accept(intake: FileIntake, *bodies: bytes) -> list[int]:
    """Accept a batch; return the exit code of qmail-queue for each message."""
    codes: list[int] = []
    drafts = []
    for body in bodies:
        try:
            drafts.append(draft(intake, body=body))
        except QueueFailure as failure:
            codes.append(failure.code)
    return codes + [failure.code if failure else 0 for failure in intake.accept(drafts)]


def queued_bodies(state: State) -> list[bytes]:
    """Return the bodies of the accepted messages; each must be whole, and so its envelope."""
    bodies = []
    for path, data in state.items():
        if path.startswith("todo/"):
            number = int(path.removeprefix("todo/"))
            assert data == ENVELOPE
            message = state[f"mess/{number % 23}/{number}"]
            field, _, body = message.partition(b"\n")
            assert re.fullmatch(rb"Received: \(qmail 20345 invoked by uid 666\); .*", field)
            assert body in BODIES
            bodies.append(body)
    return bodies


@pytest.mark.parametrize("bodies", [[SMALL], [LARGE], [SMALL, LARGE, SMALL]])
def test_a_death_at_any_call_leaves_a_known_state(
    home: str, sync_all: SyncAll, bodies: list[bytes]
) -> None:
    for step in itertools.count():
        intake = file_intake(home, sync_all)
        died = dies_at(step, lambda intake=intake: accept(intake, *bodies))

        found = files_in(home)
        queued = queued_bodies(found)
        numbers = {os.path.basename(path) for path in found if not path.startswith("pid/")}
        for number in numbers:
            kinds = {path.split("/")[0] for path in found if path.endswith(f"/{number}")}
            assert kinds in ({"mess"}, {"mess", "intd"}, {"mess", "intd", "todo"})
        if not died:
            assert sorted(queued) == sorted(bodies)
            break
        assert accept(intake, SMALL) == [0], "the next message is fine"
        remove_files(home)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EDQUOT])
@pytest.mark.parametrize("bodies", [[SMALL], [LARGE], [SMALL, LARGE]])
def test_any_failing_call_is_answered_as_temporary_and_leaves_nothing(
    home: str, sync_all: SyncAll, bodies: list[bytes], number: int
) -> None:
    for step in itertools.count():
        intake = file_intake(home, sync_all)
        with failing(number, step):
            codes = accept(intake, *bodies)

        found = files_in(home)
        failures = [code for code in codes if code]
        assert len(codes) == len(bodies)
        assert set(failures) <= {53, 63, 64, 65, 66}
        # The sync of todo/ comes last: when it fails the messages are
        # qmail-send's already, and stay although their senders try again.
        stays = failures == [66] * len(bodies) and bool(found)
        assert len(queued_bodies(found)) == (len(bodies) if stays else codes.count(0))
        assert len(found) == 3 * len(queued_bodies(found)), "no trace of what failed"
        if not failures:
            break
        assert accept(intake, SMALL) == [0], "the next message is fine"
        remove_files(home)


@pytest.mark.parametrize("bodies", [[SMALL], [LARGE], [SMALL, SMALL]])
def test_an_answered_message_survives_every_power_cut(
    home: str, sync_all: SyncAll, bodies: list[bytes]
) -> None:
    trace = Trace(f"{home}/queue")
    with trace.recording():
        assert accept(file_intake(home, sync_all), *bodies) == [0] * len(bodies)

    states = 0
    for state in trace.outcomes(trace.length):
        states += 1
        assert sorted(queued_bodies(state)) == sorted(bodies)
    assert states > 1, "removed names in pid/ at least are undecided"


@pytest.mark.parametrize("bodies", [[SMALL], [LARGE], [SMALL, SMALL]])
def test_no_power_cut_leaves_a_message_half_visible(
    home: str, sync_all: SyncAll, bodies: list[bytes]
) -> None:
    trace = Trace(f"{home}/queue")
    with trace.recording():
        accept(file_intake(home, sync_all), *bodies)

    for cut in range(trace.length):
        for state in trace.outcomes(cut):
            assert len(queued_bodies(state)) <= len(bodies)


def test_the_model_finds_a_missing_sync(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyqmail.system.files.sync_directory", lambda _path: None)
    trace = Trace(f"{home}/queue")
    with trace.recording():
        accept(file_intake(home), SMALL)

    found = [len(queued_bodies_or_none(state)) for state in trace.outcomes(trace.length)]

    assert 0 in found


def queued_bodies_or_none(state: State) -> list[bytes]:
    try:
        return queued_bodies(state)
    except (AssertionError, KeyError):
        return []


def remove_files(home: str) -> None:
    for path in files_in(home):
        os.unlink(f"{home}/queue/{path}")
