from __future__ import annotations

import asyncio

import pytest
from tests.support.netstrings import request, split_answers
from tests.support.sessions import MemoryQueue, MemoryStream

from pyqmail.errors import PERMANENT, SUCCESS, TRANSIENT, PermanentFailure
from pyqmail.reception import netstrings
from pyqmail.reception.qmqp import BAD_ADDRESS, TOO_MANY, serve

ENVIRON = {b"TCPREMOTEIP": b"192.0.2.7", b"TCPREMOTEINFO": b"sue", b"TCPLOCALIP": b"192.0.2.1"}


def hold(queue: MemoryQueue, *pieces: bytes) -> tuple[int, bytes]:
    stream = MemoryStream(pieces)
    code = asyncio.run(serve(ENVIRON, stream, queue))  # type: ignore[arg-type]
    return code, stream.transcript()


def answer_to(queue: MemoryQueue, wire: bytes) -> bytes:
    code, answers = hold(queue, wire)
    assert code == SUCCESS
    (answer,) = split_answers(answers)
    return answer


def test_a_message_is_queued_whoever_it_is_for() -> None:
    queue = MemoryQueue()

    answer = answer_to(queue, request(b"hello\r\n", b"", b"joe@example.org", b""))

    (queued,) = queue.queued
    assert answer.startswith(b"Kok ")
    assert answer.endswith(b" qp 4711")
    assert (queued.reverse_path, queued.forward_paths) == (b"", [b"joe@example.org", b""])
    assert queued.message.startswith(
        b"Received: from unknown (sue@192.0.2.7)\n  by 192.0.2.1 with QMQP; "
    )
    assert queued.message.endswith(b"\nhello\r\n")


@pytest.mark.parametrize("bad", [b"x" * 1000, b"a\0b"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_address_that_cannot_be_refuses_all(place: int, bad: bytes) -> None:
    queue = MemoryQueue()
    addresses = [b"sue", b"joe", b"ann"]
    addresses[place] = bad

    assert answer_to(queue, request(b"hello", *addresses)) == BAD_ADDRESS
    assert queue.queued == []
    assert len(queue.withdrawn) == 1


def test_what_the_queue_says_is_the_answer() -> None:
    queue = MemoryQueue(failure=PermanentFailure(b"never"))

    assert answer_to(queue, request(b"hello", b"sue", b"joe")) == b"Dnever"


def test_nothing_after_the_request_is_looked_at() -> None:
    queue = MemoryQueue()

    answer_to(queue, request(b"a", b"sue", b"joe") + request(b"b", b"sue", b"joe"))

    assert len(queue.queued) == 1


def test_a_request_that_breaks_off_is_forgotten() -> None:
    queue = MemoryQueue()
    wire = request(b"hello", b"sue", b"joe")

    for length in range(len(wire)):
        assert hold(queue, wire[:length]) == (SUCCESS, b"")
    assert queue.queued == []


def test_whoever_breaks_the_protocol_gets_no_answer() -> None:
    queue = MemoryQueue()

    assert hold(queue, b"5:3:ab,,") == (PERMANENT, b"")
    assert hold(queue, b"99999999999:") == (TRANSIENT, b"")
    assert queue.abandoned == 1


def test_recipients_beyond_the_memory_for_them_refuse_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netstrings, "MAX_ENVELOPE", 200)
    queue = MemoryQueue()

    assert answer_to(queue, request(b"hello", b"sue", *[b"joe"] * 3)) == TOO_MANY
    assert queue.queued == []
