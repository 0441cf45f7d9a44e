"""While a message is delivered: answered means it is there, and nothing is ever half visible."""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import dies_at, failing
from tests.support.messages import MESSAGE, message_file
from tests.support.power import Trace

from pyqmail.delivery.batch import deliver_all
from pyqmail.delivery.dotqmail import parse_instructions
from pyqmail.delivery.local import Delivery, obey
from pyqmail.errors import TransientFailure
from pyqmail.mailbox.maildir import make_maildir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.power import State

HEAD = b"R\nD\n"
OLD = b"From old\n\nold\n\n"
ENTRY = b"U\n" + HEAD + MESSAGE + b"\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_maildir(str(tmp_path / "Maildir"))
    (tmp_path / "Mailbox").write_bytes(OLD)
    return tmp_path


def delivery(home: Path, lines: str) -> Delivery:
    environ = {b"HOME": bytes(home), b"RPLINE": b"R\n", b"DTLINE": b"D\n", b"UFLINE": b"U\n"}
    instructions = parse_instructions(lines.encode(), forward_only=False)
    return Delivery(message_file(), environ, instructions)


def work_on(home: Path, way: str) -> Callable[[], bool]:
    """Return what makes a delivery and says whether it succeeded."""
    if way == "batch":
        return lambda: not any(deliver_all([delivery(home, "./Maildir/")] * 3))
    box = "Maildir/" if way == "maildir" else "Mailbox"

    def obey_one() -> bool:
        try:
            obey(delivery(home, f"{home}/{box}"))
        except TransientFailure:
            return False
        return True

    return obey_one


def files_of(home: Path) -> State:
    paths = [path for path in home.rglob("*") if path.is_file()]
    return {str(path.relative_to(home)): path.read_bytes() for path in paths}


def visible(state: State) -> int:
    """Return how many messages a reader sees; each must be whole."""
    new = [data for path, data in state.items() if path.startswith("Maildir/new/")]
    assert all(data == HEAD + MESSAGE for data in new)
    box = state["Mailbox"]
    assert box in {OLD, OLD + ENTRY}
    return len(new) + (box != OLD)


WAYS = [("maildir", 1), ("mbox", 1), ("batch", 3)]


@pytest.mark.parametrize(("way", "messages"), WAYS)
def test_wherever_the_process_is_killed_nothing_is_half_visible(
    home: Path, way: str, messages: int
) -> None:
    for step in itertools.count():
        before = visible(files_of(home))
        died = dies_at(step, work_on(home, way))
        added = visible(files_of(home)) - before

        if way == "mbox" and added:
            (home / "Mailbox").write_bytes(OLD)
        if not died:
            assert added == messages
            break


@pytest.mark.parametrize(("way", "messages"), WAYS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_whichever_call_fails_a_delivery_that_succeeds_is_there_and_no_other(
    home: Path, way: str, messages: int, number: int
) -> None:
    for step in itertools.count():
        before = visible(files_of(home))
        with failing(number, step):
            succeeded = work_on(home, way)()
        added = visible(files_of(home)) - before

        # One failing call may leave the others of a batch alone.
        assert added == messages if succeeded else added < messages
        assert not any(path.startswith("Maildir/tmp/") for path in files_of(home))
        if way == "mbox" and added:
            (home / "Mailbox").write_bytes(OLD)
        if succeeded and step > 20:
            break


@pytest.mark.parametrize(("way", "messages"), WAYS)
def test_after_the_answer_a_power_cut_loses_nothing(home: Path, way: str, messages: int) -> None:
    trace = Trace(str(home))
    with trace.recording():
        assert work_on(home, way)()

    for state in trace.outcomes(trace.length):
        assert visible(state) == messages


@pytest.mark.parametrize(("way", "messages"), [("maildir", 1), ("batch", 3)])
def test_a_power_cut_at_any_call_leaves_no_half_message_in_new(
    home: Path, way: str, messages: int
) -> None:
    trace = Trace(str(home))
    with trace.recording():
        work_on(home, way)()

    for cut in range(trace.length + 1):
        for state in trace.outcomes(cut):
            assert visible(state) <= messages


def test_an_mbox_that_is_made_by_a_delivery_survives_a_power_cut(home: Path) -> None:
    trace = Trace(str(home))
    with trace.recording():
        obey(delivery(home, f"{home}/new-box"))

    for state in trace.outcomes(trace.length):
        assert state["new-box"] == ENTRY


def test_two_deliveries_to_one_mbox_at_once_both_arrive_whole(home: Path) -> None:
    children = []
    for _ in range(8):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if work_on(home, "mbox")() else 1)
        children.append(pid)

    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
    assert (home / "Mailbox").read_bytes() == OLD + ENTRY * 8
