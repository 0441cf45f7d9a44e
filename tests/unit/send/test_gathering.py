from __future__ import annotations

import pytest

from pyqmail.protocol.spawn import Job
from pyqmail.send.gathering import MAX_BATCH, Gathering


def job(
    slot: int, path: bytes = b"ann@far.example", *, message: bytes = b"1/2", sender: bytes = b"s@x"
) -> Job:
    return Job(slot, message, sender, path)


def test_recipients_of_one_message_at_one_domain_are_gathered() -> None:
    gathering = Gathering()
    batch = gathering.begin(job(0))

    assert gathering.join(job(1, b"bob@FAR.example"))
    assert batch.forward_paths == [b"ann@far.example", b"bob@FAR.example"]
    assert [each.slot for each in batch.jobs] == [0, 1]
    assert (batch.host, batch.reverse_path) == (b"far.example", b"s@x")


@pytest.mark.parametrize(
    "other",
    [
        job(1, b"ann@other.example"),
        job(1, message=b"2/3"),
        job(1, sender=b"s-ann=far.example@x"),
        job(1, sender=b""),
    ],
)
def test_others_are_not(other: Job) -> None:
    gathering = Gathering()
    gathering.begin(job(0))

    assert not gathering.join(other)


def test_nobody_joins_what_is_sealed() -> None:
    gathering = Gathering()
    first = gathering.begin(job(0))
    first.seal()
    assert not gathering.join(job(1))
    second = gathering.begin(job(1))
    first.seal()

    assert gathering.join(job(2))
    assert len(first.jobs) == 1
    assert len(second.jobs) == 2


def test_not_more_are_gathered_than_a_host_must_take() -> None:
    gathering = Gathering()
    batch = gathering.begin(job(0))
    joined = [gathering.join(job(slot)) for slot in range(1, MAX_BATCH + 1)]

    assert joined == [True] * (MAX_BATCH - 1) + [False]
    assert len(batch.jobs) == MAX_BATCH


def test_with_a_limit_of_one_nobody_joins() -> None:
    gathering = Gathering(1)
    gathering.begin(job(0))

    assert not gathering.join(job(1))
