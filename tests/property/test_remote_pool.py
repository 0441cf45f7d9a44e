"""qmail-rspawn among hosts that misbehave: one report for each job, one copy for each recipient."""

from __future__ import annotations

import asyncio
import random
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.flaky_hosts import FlakyHosts
from tests.support.remote_pool import FIRST, SECOND, Pool

from pyqmail.protocol.spawn import DELIVERED, Job

MESSAGES = 4


def random_pieces(pool: Pool, chance: random.Random) -> list[tuple[list[Job], float]]:
    """Return jobs as qmail-send might give them; no recipient of a message comes twice."""
    wanted = [
        (message, b"r%d@%b" % (number, domain))
        for message in range(MESSAGES)
        for domain in pool.domains
        for number in range(chance.choice([0, 1, 2, 30]))
    ]
    chance.shuffle(wanted)
    sender = chance.choice([b"s@x", b""])
    jobs = [pool.job(slot, message, path, sender) for slot, (message, path) in enumerate(wanted)]
    pieces = []
    while jobs:
        size = chance.choice([1, 3, 50])
        pieces.append((jobs[:size], chance.choice([0, 0, 0.001, 0.01])))
        jobs = jobs[size:]
    return pieces


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    trouble=st.sampled_from([0.0, 0.01, 0.1, 0.3]),
    most=st.sampled_from([1, 7, 1000]),
    guests=st.sampled_from([None, 1, 2]),
    pipelining=st.booleans(),
)
def test_each_job_is_reported_once_and_each_recipient_served_once(
    seed: int, trouble: float, most: int, guests: int | None, *, pipelining: bool
) -> None:
    chance = random.Random(seed)
    hosts = FlakyHosts(chance, trouble, pipelining=pipelining)
    hosts.most_recipients = most
    hosts.most_guests = guests
    with tempfile.TemporaryDirectory() as top:
        pool = Pool(top)
        pieces = random_pieces(pool, chance)

        async def play() -> None:
            try:
                await pool.serve(await hosts.listen([FIRST, SECOND]), pieces)
            finally:
                await hosts.stop()

        asyncio.run(play())

    jobs = {job.slot: job for piece, _ in pieces for job in piece}
    assert sorted(report.slot for report in pool.reports) == sorted(jobs)
    for report in pool.reports:
        job = jobs[report.slot]
        pair = (b"m%b\r\n" % job.message_path[2:], job.forward_path)
        certain = hosts.copies[pair] - hosts.doubtful[pair]
        assert certain == (report.letter == DELIVERED), report
        # qmail-send tries again, and there are two, only where a host has not said what it did.
        assert hosts.doubtful[pair] <= (b"Possible duplicate" in report.text), report
    if not trouble and guests is None:
        assert {report.letter for report in pool.reports} <= {DELIVERED}
