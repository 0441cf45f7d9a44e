"""qmail-rspawn and hosts that turn connections away, or are too busy for all that we would make."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.support.flaky_hosts import FlakyHosts
from tests.support.remote_pool import FIRST, SECOND, Pool

if TYPE_CHECKING:
    from pathlib import Path

    from pyqmail.protocol.spawn import Report

MESSAGES = 60
LIMIT = 20  # connections that we would make


def deliver(top: Path, hosts: FlakyHosts, addresses: list[str]) -> list[Report]:
    """Deliver that many messages at once; return the reports."""
    pool = Pool(str(top))
    pool.limit = LIMIT
    jobs = [pool.job(number, number, b"r@d0.example") for number in range(MESSAGES)]

    async def play() -> None:
        try:
            await pool.serve(await hosts.listen(addresses), [(jobs, 0)])
        finally:
            await hosts.stop()

    asyncio.run(play())
    return pool.reports


@pytest.mark.parametrize("guests", [1, 2, 7])
@pytest.mark.parametrize("addresses", [[FIRST], [FIRST, SECOND]])
def test_a_host_that_takes_few_connections_gets_all_mail_over_those(
    tmp_path: Path, guests: int, addresses: list[str]
) -> None:
    hosts = FlakyHosts(random.Random(1), trouble=0)
    hosts.most_guests = guests

    reports = deliver(tmp_path, hosts, addresses)

    assert Counter(report.letter for report in reports) == {b"K": MESSAGES}
    assert set(hosts.copies.values()) == {1}
    assert len(hosts.copies) == MESSAGES
    # At first each connection that we would make is tried once at each address; then no more.
    assert 0 < hosts.turned_away < LIMIT * len(addresses)


def test_a_host_that_turns_everybody_away_is_not_asked_for_each_message(tmp_path: Path) -> None:
    hosts = FlakyHosts(random.Random(1), trouble=0)
    hosts.most_guests = 0

    reports = deliver(tmp_path, hosts, [FIRST])

    said = (
        b"Connected to 127.0.0.2 but greeting failed.\nRemote host said: 421 too many connections\n"
    )
    assert Counter((report.letter, report.text) for report in reports) == {(b"Z", said): MESSAGES}
    assert LIMIT <= hosts.turned_away < MESSAGES
