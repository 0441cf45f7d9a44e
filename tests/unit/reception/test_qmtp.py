from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from tests.support import simulated_time
from tests.support.netstrings import package, split_answers
from tests.support.sessions import MemoryQueue, MemoryStream

from pyqmail.errors import PERMANENT, SUCCESS, TRANSIENT, PermanentFailure, TransientFailure
from pyqmail.reception import netstrings, qmtp
from pyqmail.reception.qmtp import BAD_SENDER, TOO_LARGE, serve

if TYPE_CHECKING:
    from pathlib import Path

    from pyqmail.errors import Failure

NO_RELAYING = b"Dsorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"
UNUSABLE = b"Dsorry, I can't handle that recipient (#5.1.3)"
TOO_MANY = b"Zsorry, too many recipients (#4.5.3)"
JOE = b"joe@example.org"


class Host:
    """A home in which sessions are held."""

    def __init__(self, folder: Path) -> None:
        self.home = str(folder)
        self.control = folder / "control"
        self.control.mkdir()
        self.set("rcpthosts", "example.org\n")
        self.queue = MemoryQueue()
        self.log: list[bytes] = []

    def set(self, name: str, text: str) -> None:
        (self.control / name).write_text(text)

    def hold(self, *pieces: bytes, patient: bool = False, **environ: bytes) -> tuple[int, bytes]:
        """Return exit code and answers."""
        stream = MemoryStream(pieces, patient=patient)
        variables = {name.encode(): value for name, value in environ.items()}
        session = serve(self.home, variables, stream, self.queue, log=self.log.append)  # type: ignore[arg-type]
        code = simulated_time.run(session)[0] if patient else asyncio.run(session)
        return code, stream.transcript()

    def answers(self, *pieces: bytes, **environ: bytes) -> list[bytes]:
        """Return the answers of a session that ends well."""
        code, wire = self.hold(*pieces, **environ)
        assert code == SUCCESS
        return split_answers(wire)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_message_is_queued_with_its_field_and_envelope(host: Host) -> None:
    (answer,) = host.answers(package(b"\nhello\n", b"sue@example.net", JOE), TCPREMOTEIP=b"::1")

    (queued,) = host.queue.queued
    assert answer.startswith(b"Kok ")
    assert answer.endswith(b" qp 4711")
    assert (queued.reverse_path, queued.forward_paths) == (b"sue@example.net", [JOE])
    assert queued.message.startswith(b"Received: from unknown (::1)\n  by unknown with QMTP; ")
    assert queued.message.endswith(b"\nhello\n")


def test_each_recipient_gets_an_answer_in_order(host: Host) -> None:
    wire = package(b"\n", b"sue", b"a@example.net", JOE, b"x" * 1000, b"a\0b@example.org", b"local")

    answers = host.answers(wire)

    assert [answer[:1] for answer in answers] == [b"D", b"K", b"D", b"D", b"K"]
    assert answers[0] == NO_RELAYING
    assert answers[2] == answers[3] == UNUSABLE
    assert host.queue.queued[0].forward_paths == [JOE, b"local"]


def test_nothing_of_one_package_is_left_in_the_next(host: Host) -> None:
    wire = package(b"\na", b"a\0", JOE) + package(b"\nb", b"sue", b"ann@example.org")

    answers = host.answers(wire)

    assert answers[0] == BAD_SENDER
    assert len(answers) == 2
    assert [queued.forward_paths for queued in host.queue.queued] == [[b"ann@example.org"]]


@pytest.mark.parametrize("failure", [TransientFailure(b"later"), PermanentFailure(b"never")])
def test_what_the_queue_says_is_every_good_recipients_answer(host: Host, failure: Failure) -> None:
    host.queue.failure = failure
    letter = b"Z" if isinstance(failure, TransientFailure) else b"D"

    answers = host.answers(package(b"\n", b"sue", JOE, b"a@example.net", JOE))

    assert answers == [letter + failure.text, NO_RELAYING, letter + failure.text]


def test_relayclient_opens_all_domains_and_is_appended(host: Host) -> None:
    host.answers(package(b"\n", b"sue", b"a@example.net"), RELAYCLIENT=b".relay")

    assert host.queue.queued[0].forward_paths == [b"a@example.net.relay"]


def test_relayclient_counts_for_the_length_of_a_recipient(host: Host) -> None:
    wire = package(b"\n", b"sue", b"x" * 997, b"x" * 998)

    assert [answer[:1] for answer in host.answers(wire, RELAYCLIENT=b".r")] == [b"K", b"D"]


@pytest.mark.parametrize(
    ("message", "size", "letter"),
    [
        (b"\n12345", 5, b"K"),
        (b"\n123456", 5, b"D"),
        (b"\r1\r\n2\r\n", 4, b"K"),
        (b"\r1\r\n", 1, b"D"),
    ],
)
def test_the_limit_counts_lines_that_end_in_one_byte(
    host: Host, message: bytes, size: int, letter: bytes
) -> None:
    answers = host.answers(package(message, b"sue", JOE), DATABYTES=b"%d" % size)

    assert answers[0][:1] == letter
    assert bool(host.queue.queued) == (letter == b"K")


def test_a_message_too_large_is_that_before_its_sender_is_bad(host: Host) -> None:
    host.set("databytes", "3\n")

    assert host.answers(package(b"\nlong message", b"a\0", JOE)) == [TOO_LARGE]
    assert b"long" not in host.queue.withdrawn[0]


def test_a_message_that_breaks_off_is_forgotten(host: Host) -> None:
    wire = package(b"\nhello", b"sue", JOE)

    for length in range(1, len(wire)):
        assert host.hold(wire[:length]) == (SUCCESS, b"")
    assert host.queue.queued == []


def test_whoever_breaks_the_protocol_gets_no_answer(host: Host) -> None:
    good = package(b"\n", b"sue", JOE)

    assert host.hold(good[:-1] + b";") == (PERMANENT, b"")
    assert host.hold(b"99999999999:") == (TRANSIENT, b"")
    assert host.queue.queued == []


def test_a_session_ends_after_an_hour(host: Host) -> None:
    assert host.hold(b"5:\nab", patient=True) == (TRANSIENT, b"")


def test_a_queue_that_cannot_be_opened_ends_the_session(host: Host) -> None:
    host.queue.broken = True

    assert host.hold(package(b"\n", b"sue", JOE)) == (TRANSIENT, b"")


@pytest.mark.parametrize("name", ["me", "rcpthosts", "databytes"])
def test_a_control_file_that_cannot_be_read_ends_the_session(host: Host, name: str) -> None:
    (host.control / name).unlink(missing_ok=True)
    os.mkdir(host.control / name)

    assert host.hold() == (TRANSIENT, b"")
    assert name.encode() in host.log[0]


def test_without_a_home_nobody_is_served(host: Host) -> None:
    host.home += "/absent"

    assert host.hold(package(b"\n", b"sue", JOE)) == (TRANSIENT, b"")


def test_recipients_beyond_the_memory_for_them_are_told_so(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netstrings, "MAX_ENVELOPE", 200)

    answers = host.answers(package(b"\n", b"sue", JOE, JOE, JOE, b"a@example.net"))

    assert [answer[:1] for answer in answers[:2]] == [b"K", b"K"]
    assert answers[2:] == [TOO_MANY, NO_RELAYING]


def test_a_list_without_end_ends_the_session(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmtp, "MAX_RECIPIENTS", 10)

    assert host.hold(package(b"\n", b"sue", *[b""] * 11)) == (TRANSIENT, b"")
