"""With a journal: a power cut at any call, of whatever age the messages are, loses and mixes none.

A life of a queue is recorded: messages are accepted, settled, finished, their numbers used
again, checkpoints made. Then the power fails before each call, the disk keeps what it
likes, and qmail-queued starts again.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import zlib
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import dies_at, failing
from tests.support.numbers import Numbers
from tests.support.power import State, Trace
from tests.support.queues import (
    UID,
    file_store,
    files_in,
    make_home,
    private_roles,
)

from pyqmail.message.trace import invoker_of
from pyqmail.queue import journal_use
from pyqmail.queue.envelope_file import encode_envelope
from pyqmail.queue.intake import FileDraft, FileIntake
from pyqmail.queue.journal import Journal
from pyqmail.queue.outcome import QueueFailure
from pyqmail.queue.recovery import recover
from pyqmail.queue.store import Recipient, Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

SEGMENT = 16384  # the first block, and three frames of one small message
EVERYTHING = ("pid", "mess", "intd", "todo", "info", "local", "remote", "bounce", "journal")
FOR_EVER = 10_000  # calls; more than any life has
LARGE = 70_000  # bytes; more than goes into the journal


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file system for one that can be synced as a whole."""
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")


@pytest.fixture
def home(tmp_path: Path) -> str:
    return make_home(str(tmp_path / "home"))


class Life:
    """A queue at work, and which messages it has promised to keep at each moment."""

    def __init__(
        self,
        home: str,
        numbers: Numbers,
        tell: Callable[[Iterable[str]], object] = lambda _names: None,
    ) -> None:
        self.home = home
        self._tell = tell
        self._numbers = numbers
        self.journal = made_journal(home)
        self._intake = FileIntake(home, private_roles(home), journal=self.journal)
        self._store = file_store(home)
        self.trace = Trace(f"{home}/queue")
        # Name of each message, and between which calls it must be there.
        self.promised: dict[str, tuple[int, int]] = {}

    def accept(self, *messages: tuple[str, int]) -> None:
        """Accept a batch; the name of a message is its sender and its text."""
        # A large one has its file before it is complete.
        in_order = sorted(messages, key=lambda message: not message[0].startswith("large"))
        self._numbers.next = [number for _, number in in_order]
        drafts = [written_draft(self._intake, name) for name, _ in messages]
        assert self._intake.accept(drafts) == [None] * len(drafts)
        for name, _ in messages:
            self.promised[name] = (self.trace.mark(), FOR_EVER)
        self._tell(self.promised_at(FOR_EVER))

    def settle(self, name: str, number: int) -> None:
        self.settle_together((name, number))

    def settle_together(self, *messages: tuple[str, int]) -> None:
        settlements = [
            Settlement(number, name.encode(), 1000, [Recipient("local", b"to-" + name.encode())])
            for name, number in messages
        ]
        results = self._store.settle_all(settlements)
        assert [list(positions) for positions in results] == [[0]] * len(messages)

    def finish(self, name: str, number: int) -> None:
        self.promised[name] = (self.promised[name][0], self.trace.mark())
        self._tell(self.promised_at(FOR_EVER))
        assert self._store.remove([number]) == [None]

    def checkpoint(self) -> None:
        self.journal.checkpoint()

    def promised_at(self, cut: int) -> set[str]:
        """Return which messages must be there before the call number `cut`."""
        return {name for name, (since, until) in self.promised.items() if since <= cut <= until}


def written_draft(intake: FileIntake, name: str) -> FileDraft:
    draft = intake.begin(UID, pid_of(name))
    draft.write(body(name))
    draft.write_envelope(encode_envelope(name.encode(), [b"to-" + name.encode()])[:-1])
    return draft


def made_journal(home: str) -> Journal:
    def complain(text: str) -> None:
        raise AssertionError(text)

    journal = Journal(f"{home}/queue", complain)
    journal.make(SEGMENT)
    return journal


def body(name: str) -> bytes:
    text = b"Subject: " + name.encode() + b"\n\n" + name.encode() * 40 + b"\n"
    return text.ljust(LARGE, b"x") if name.startswith("large") else text


def pid_of(name: str) -> int:
    return 1000 + zlib.crc32(name.encode()) % 1000


def name_of(message: bytes) -> str:
    """Return which message this is; it must be whole."""
    field, _, rest = message.partition(b"\n")
    found = re.match(rb"Subject: (.*)\n", rest)
    assert found is not None
    name = found[1].decode()
    assert rest == body(name)
    assert field.startswith(b"Received: (qmail %d invoked by uid 666); " % pid_of(name))
    return name


def messages_in(state: State) -> list[str]:
    """Return the names of all messages that qmail-send would find, each with its own recipients."""
    found = []
    for path, data in state.items():
        if path.startswith("todo/"):
            number = int(path.removeprefix("todo/"))
            message = state.get(f"mess/{number % 23}/{number}")
            if message is None or b"p%d\0" % (invoker_of(message) or 0) not in data:
                continue  # set aside: what was finished has come back in part
            name = name_of(message)
            text = name.encode()
            origin = b"u666\0p%d\0" % pid_of(name)
            assert data == origin + b"F" + text + b"\0Tto-" + text + b"\0"
            found.append(name)
        elif path.startswith("info/"):
            number = int(os.path.basename(path))
            split = f"{number % 23}/{number}"
            if f"todo/{number}" not in state and f"mess/{split}" in state:
                name = name_of(state[f"mess/{split}"])
                assert data == b"F" + name.encode() + b"\0"
                assert state[f"local/{split}"] == b"Tto-" + name.encode() + b"\0"
                found.append(name)
    return found


def one_message(life: Life) -> None:
    life.accept(("a", 100))


def a_batch(life: Life) -> None:
    life.accept(("a", 100), ("b", 101))


def a_batch_with_a_large_one(life: Life) -> None:
    life.accept(("a", 100), ("large", 101))


def a_settled_one(life: Life) -> None:
    life.accept(("a", 100))
    life.settle("a", 100)


def two_that_are_settled_together(life: Life) -> None:
    life.accept(("a", 100), ("b", 101))
    life.settle_together(("a", 100), ("b", 101))


def a_finished_one(life: Life) -> None:
    life.accept(("a", 100))
    life.finish("a", 100)


def one_that_was_settled_and_finished(life: Life) -> None:
    life.accept(("a", 100))
    life.settle("a", 100)
    life.finish("a", 100)


def a_number_used_again(life: Life) -> None:
    life.accept(("a", 100))
    life.finish("a", 100)
    life.accept(("b", 100))


def the_number_of_an_old_one_used_again(life: Life) -> None:
    life.accept(("a", 100))
    life.checkpoint()
    life.finish("a", 100)
    life.accept(("b", 100))
    life.settle("b", 100)


def the_number_of_a_settled_one_used_again(life: Life) -> None:
    life.accept(("a", 100))
    life.settle("a", 100)
    life.finish("a", 100)
    life.accept(("b", 100))
    life.settle("b", 100)


def the_number_used_again_by_a_large_one(life: Life) -> None:
    life.accept(("a", 100))
    life.finish("a", 100)
    life.accept(("large", 100))


def the_number_of_a_large_one_used_again(life: Life) -> None:
    life.accept(("large", 100))
    life.finish("large", 100)
    life.accept(("a", 100))
    life.settle("a", 100)


def a_number_used_three_times(life: Life) -> None:
    for name in ("a", "b", "c"):
        life.accept((name, 100))
        if name != "c":
            life.finish(name, 100)


def checkpoints_between(life: Life) -> None:
    life.accept(("a", 100))
    life.checkpoint()
    life.accept(("b", 101))
    life.finish("a", 100)
    life.checkpoint()
    life.accept(("c", 100))


def segments_that_are_written_again(life: Life) -> None:
    for number in range(4):
        life.accept((f"m{number}", 100 + number))
        life.checkpoint()
    life.finish("m0", 100)


def an_orderly_end(life: Life) -> None:
    life.accept(("a", 100))
    life.accept(("b", 101))
    life.journal.empty()


LIVES = [
    one_message,
    a_batch,
    a_batch_with_a_large_one,
    a_settled_one,
    two_that_are_settled_together,
    a_finished_one,
    one_that_was_settled_and_finished,
    a_number_used_again,
    the_number_of_an_old_one_used_again,
    the_number_of_a_settled_one_used_again,
    the_number_used_again_by_a_large_one,
    the_number_of_a_large_one_used_again,
    a_number_used_three_times,
    checkpoints_between,
    segments_that_are_written_again,
    an_orderly_end,
]


@pytest.mark.parametrize("live", LIVES)
def test_no_power_cut_loses_or_mixes_what_was_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: Callable[[Life], None]
) -> None:
    life = recorded_life(str(tmp_path / "home"), Numbers(monkeypatch), live)
    machine = Machine(str(tmp_path / "after"), monkeypatch)

    for cut in range(life.trace.length + 1):
        for state in machine.new_states(life.trace, cut):
            found = messages_in(machine.start_again(state))
            promised = life.promised_at(cut)
            assert promised <= set(found), f"{life.home}: lost before call {cut}"
    assert machine.states > life.trace.length, "some states differ"


def recorded_life(home: str, numbers: Numbers, live: Callable[[Life], None]) -> Life:
    life = Life(make_home(home), numbers)
    with life.trace.recording():
        live(life)
    life.journal.close()
    return life


class Machine:
    """Starts again with what a power cut has left."""

    def __init__(self, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._home = make_home(home)
        self._monkeypatch = monkeypatch
        self._seen: set[int] = set()
        self.states = 0

    def new_states(self, trace: Trace, cut: int) -> Iterator[State]:
        """Yield what a power cut may leave, unless that was looked at before."""
        self._seen.clear()
        for state in trace.outcomes(cut):
            mark = hash(frozenset(state.items()))
            if mark not in self._seen:
                self._seen.add(mark)
                self.states += 1
                yield state

    def start_again(self, state: State) -> State:
        """Put the files on a disk, and let qmail-queued recover them after a boot."""
        self.put(state)
        self.recover()
        return files_in(self._home, *EVERYTHING)

    def recorded_recovery(self) -> Trace:
        trace = Trace(f"{self._home}/queue")
        with trace.recording():
            self.recover()
        return trace

    def recover(self) -> None:
        with self._monkeypatch.context() as patch:
            patch.setattr(journal_use, "boot_id", lambda: b"another")
            patch.setattr("pyqmail.queue.recovery.FileSystem", no_file_system)
            # What is recovered lies in memory only: it need not survive here.
            patch.setattr(os, "fsync", lambda _descriptor: None)
            patch.setattr(os, "fdatasync", lambda _descriptor: None)
            recover(self._home, private_roles(self._home), lambda _text: None)
        assert not journal_use.is_used(f"{self._home}/queue")

    def put(self, state: State) -> None:
        """Make the queue have these files and no others."""
        for path in files_in(self._home, *EVERYTHING):
            os.unlink(f"{self._home}/queue/{path}")
        for path, data in state.items():
            if path.split("/")[0] in EVERYTHING:
                with open(f"{self._home}/queue/{path}", "wb") as file:
                    file.write(data)


def no_file_system(_folders: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "patched away")


@pytest.mark.parametrize(
    "live", [a_batch_with_a_large_one, a_number_used_again, checkpoints_between]
)
def test_a_death_of_qmail_queued_at_any_call_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: Callable[[Life], None]
) -> None:
    numbers = Numbers(monkeypatch)
    for step in itertools.count():
        home = make_home(str(tmp_path / f"home{step}"))
        kept = tmp_path / f"promised{step}"

        died = dies_at(step, lambda home=home, kept=kept: _live_and_tell(home, numbers, live, kept))

        recover(home, private_roles(home), lambda _text: None)
        found = messages_in(files_in(home, *EVERYTHING))
        promised = kept.read_text().split() if kept.exists() else []
        assert set(promised) <= set(found)
        if not died:
            break
    assert step > 10


def _live_and_tell(home: str, numbers: Numbers, live: Callable[[Life], None], kept: Path) -> None:
    """Live, and write down after each step which messages are promised by then."""
    life = Life(home, numbers, lambda names: kept.write_text(" ".join(names)))
    live(life)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("bodies", [["a"], ["a", "large"], ["a", "b", "c"]])
def test_any_failing_call_is_answered_as_temporary_or_does_no_harm(
    home: str, number: int, bodies: list[str]
) -> None:
    for step in itertools.count():
        complaints: list[str] = []
        journal = Journal(f"{home}/queue", complaints.append)
        journal.make(SEGMENT)
        intake = FileIntake(home, private_roles(home), journal=journal)
        with failing(number, step) as seen:
            codes = [accept_one(intake, name) for name in bodies]

        assert set(codes) <= {0, 53, 63, 64, 65, 66}
        found = messages_in(files_in(home, *EVERYTHING))
        accepted = [name for name, code in zip(bodies, codes, strict=True) if code == 0]
        assert set(accepted) <= set(found)
        assert accept_one(intake, "next") == 0, "the next message is fine"
        journal.empty()
        journal.close()
        assert not journal_use.is_used(f"{home}/queue")
        for path in files_in(home):
            os.unlink(f"{home}/queue/{path}")
        if not seen:
            break


def accept_one(intake: FileIntake, name: str) -> int:
    try:
        (failure,) = intake.accept([written_draft(intake, name)])
    except QueueFailure as error:
        return error.code
    return failure.code if failure else 0


def test_a_recovery_that_is_interrupted_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = recorded_life(str(tmp_path / "home"), Numbers(monkeypatch), a_number_used_again)
    machine = Machine(str(tmp_path / "after"), monkeypatch)
    # Nothing but the journal has survived.
    left = {
        path: data
        for path, data in files_in(life.home, "journal").items()
        if path.startswith("journal/")
    }
    machine.put(left)
    trace = machine.recorded_recovery()
    later = Machine(str(tmp_path / "later"), monkeypatch)

    for cut in range(trace.length + 1):
        for state in later.new_states(trace, cut):
            assert "b" in messages_in(later.start_again(state))


def test_the_model_finds_a_journal_that_is_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyqmail.system.files.sync_contents", lambda _descriptor: None)
    life = recorded_life(str(tmp_path / "home"), Numbers(monkeypatch), one_message)
    machine = Machine(str(tmp_path / "after"), monkeypatch)

    found = [
        messages_in(machine.start_again(state))
        for state in machine.new_states(life.trace, life.trace.length)
    ]

    assert [] in found


def test_the_model_finds_a_settled_message_that_was_not_made_sure_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyqmail.queue.settling._Message.open_itself", lambda _message: None)

    with pytest.raises((AssertionError, KeyError)):
        test_no_power_cut_loses_or_mixes_what_was_promised(
            tmp_path, monkeypatch, the_number_of_an_old_one_used_again
        )
