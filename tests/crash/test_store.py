"""Whatever happens while qmail-send works: a message is new, or settled, or gone on purpose."""

from __future__ import annotations

import errno
import itertools
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import dies_at, failing
from tests.support.power import State, Trace
from tests.support.queues import file_store, files_in, make_home

from pyqmail.queue.store import Recipient, StoreFailure

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = b"Received: x\n\nhello\n"
ENVELOPE = b"u1\0p2\0Fsue@x\0Tjoe@y\0Tann@z\0"
RECIPIENTS = [Recipient("local", b"joe@y"), Recipient("remote", b"ann@z")]
RECORD = {"info/5/28": b"Fsue@x\0", "local/5/28": b"Tjoe@y\0", "remote/5/28": b"Tann@z\0"}
EVERYTHING = ("pid", "mess", "intd", "todo", "info", "local", "remote", "bounce")


@pytest.fixture
def home(tmp_path: Path) -> str:
    return new_message(make_home(str(tmp_path / "home")))


def new_message(home: str) -> str:
    """Put message 28 into the queue as new, with stale records of an older 28."""
    put(home, "mess/5/28", MESSAGE)
    put(home, "intd/28", ENVELOPE)
    put(home, "todo/28", ENVELOPE)
    put(home, "remote/5/28", b"Told@z\0")
    put(home, "bounce/28", b"<old@z>:\nno\n\n")
    return home


def put(home: str, name: str, data: bytes) -> None:
    with open(f"{home}/queue/{name}", "wb") as file:
        file.write(data)


def settle(home: str) -> None:
    file_store(home).settle(28, b"sue@x", 1000, RECIPIENTS)


def check_new_or_settled(files: State) -> bool:
    """Check that message 28 is whole and with its own recipients; say whether it is settled."""
    assert files["mess/5/28"] == MESSAGE
    if "todo/28" in files:
        assert files["todo/28"] == ENVELOPE
        return False
    assert {path: data for path, data in files.items() if path in RECORD} == RECORD
    assert "bounce/28" not in files
    return True


def test_a_death_while_settling_keeps_the_message_new_or_settled(home: str) -> None:
    for step in itertools.count():
        died = dies_at(step, lambda: settle(home))

        settled = check_new_or_settled(files_in(home, *EVERYTHING))
        if not died:
            assert settled
            break
        if not settled:
            settle(home)
            assert check_new_or_settled(files_in(home, *EVERYTHING))
        new_message(home)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EMFILE])
def test_a_failure_while_settling_keeps_the_message_new(home: str, number: int) -> None:
    for step in itertools.count():
        failed = False
        with failing(number, step):
            try:
                settle(home)
            except StoreFailure:
                failed = True

        settled = check_new_or_settled(files_in(home, *EVERYTHING))
        if not failed:
            assert settled
            break
        assert not settled
        settle(home)
        assert check_new_or_settled(files_in(home, *EVERYTHING)), "the next try works"
        new_message(home)


def test_no_power_cut_while_settling_loses_the_message_or_mixes_recipients(home: str) -> None:
    trace = Trace(f"{home}/queue")
    with trace.recording():
        settle(home)

    settled = [
        check_new_or_settled(state)
        for cut in range(trace.length + 1)
        for state in trace.outcomes(cut)
    ]

    assert set(settled) == {False, True}


@pytest.mark.parametrize("settled", [False, True])
def test_no_record_outlives_its_message(home: str, *, settled: bool) -> None:
    # The number is used again: old recipients must not get the new message.
    if settled:
        settle(home)
    trace = Trace(f"{home}/queue")
    with trace.recording():
        assert file_store(home).remove([28]) == [None]

    for cut in range(trace.length + 1):
        for state in trace.outcomes(cut):
            if "info/5/28" in state and "todo/28" not in state:
                assert state["mess/5/28"] == MESSAGE


def test_a_note_survives_every_power_cut_once_it_is_told(home: str) -> None:
    settle(home)
    store = file_store(home)
    trace = Trace(f"{home}/queue")
    with trace.recording():
        store.note_failure(28, b"<joe@y>:\nno\n\n")
        store.note_failure(28, b"<ann@z>:\nno\n\n")
        told = trace.mark()
        store.mark_done(28, "local", 0)

    for cut in range(told, trace.length + 1):
        for state in trace.outcomes(cut):
            assert state["bounce/28"] == b"<joe@y>:\nno\n\n<ann@z>:\nno\n\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_note_that_fails_leaves_the_notes_before(home: str, number: int) -> None:
    settle(home)
    store = file_store(home)
    store.note_failure(28, b"first\n\n")

    for step in range(3):
        with failing(number, step), pytest.raises(StoreFailure):
            store.note_failure(28, b"second\n\n")

        assert files_in(home, "bounce") == {"bounce/28": b"first\n\n"}
