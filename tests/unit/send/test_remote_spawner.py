"""Which recipients share a transaction, and which transactions a connection, seen by the hosts."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from tests.support.flaky_hosts import FlakyHosts
from tests.support.remote_pool import FIRST, SECOND, Pool

from pyqmail.delivery import remote
from pyqmail.send.gathering import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyqmail.delivery.outcome import Outcome
    from pyqmail.protocol.spawn import Job

FAR, OTHER = b"d0.example", b"d1.example"


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(str(tmp_path))


@pytest.fixture
def hosts() -> FlakyHosts:
    return FlakyHosts(random.Random(0), 0)


def deliver(pool: Pool, hosts: FlakyHosts, *pieces: tuple[Sequence[Job], float]) -> bytes:
    """Have the jobs delivered; return the letters of the reports, by slot."""

    async def play() -> None:
        try:
            await pool.serve(await hosts.listen([FIRST, SECOND]), pieces)
        finally:
            await hosts.stop()

    asyncio.run(play())
    return b"".join(report.letter for report in sorted(pool.reports, key=lambda each: each.slot))


def recipients(pool: Pool, number: int, domain: bytes = FAR, message: int = 0) -> list[Job]:
    return [pool.job(slot, message, b"r%d@%b" % (slot, domain)) for slot in range(number)]


def sizes(hosts: FlakyHosts) -> list[int]:
    return sorted(len(recipients) for _, recipients in hosts.transactions)


def test_recipients_at_one_domain_share_a_transaction(pool: Pool, hosts: FlakyHosts) -> None:
    assert deliver(pool, hosts, (recipients(pool, 30), 0)) == b"K" * 30
    assert sizes(hosts) == [30]


def test_who_comes_while_the_connection_is_made_joins(pool: Pool, hosts: FlakyHosts) -> None:
    hosts.slowness = 0.5
    jobs = recipients(pool, 3)

    assert deliver(pool, hosts, *(([job], 0.01) for job in jobs)) == b"KKK"
    assert sizes(hosts) == [3]


def test_a_transaction_has_not_more_than_a_host_must_take(pool: Pool, hosts: FlakyHosts) -> None:
    jobs = recipients(pool, MAX_BATCH + 5)

    assert deliver(pool, hosts, (jobs, 0)) == b"K" * len(jobs)
    assert sizes(hosts) == [5, MAX_BATCH]


def test_whom_a_host_has_no_room_for_goes_into_another_transaction(
    pool: Pool, hosts: FlakyHosts
) -> None:
    hosts.most_recipients = 7

    assert deliver(pool, hosts, (recipients(pool, 20), 0)) == b"K" * 20
    assert sizes(hosts) == [6, 7, 7]
    assert hosts.sessions == 1


def test_where_there_is_room_for_nobody_all_wait(pool: Pool, hosts: FlakyHosts) -> None:
    hosts.most_recipients = 0

    assert deliver(pool, hosts, (recipients(pool, 3), 0)) == b"ZZZ"


def test_senders_of_verp_do_not_share(pool: Pool, hosts: FlakyHosts) -> None:
    jobs = [pool.job(n, 0, b"r%d@d0.example" % n, b"s-r%d=d0.example@x" % n) for n in range(4)]

    assert deliver(pool, hosts, (jobs, 0)) == b"KKKK"
    assert sizes(hosts) == [1, 1, 1, 1]


def test_domains_and_messages_do_not_share(pool: Pool, hosts: FlakyHosts) -> None:
    jobs = [pool.job(n, n % 2, b"r@" + (FAR, OTHER)[n // 2]) for n in range(4)]

    assert deliver(pool, hosts, (jobs, 0)) == b"KKKK"
    assert sizes(hosts) == [1, 1, 1, 1]


def test_one_refused_recipient_takes_nothing_from_the_others(pool: Pool, hosts: FlakyHosts) -> None:
    jobs = [*recipients(pool, 2), pool.job(2, 0, b"a\rb@" + FAR)]

    assert deliver(pool, hosts, (jobs, 0)) == b"KKD"


def test_the_next_message_goes_over_the_same_connection(pool: Pool, hosts: FlakyHosts) -> None:
    pieces = [([pool.job(n, n, b"r@" + FAR)], 0.2) for n in range(3)]

    assert deliver(pool, hosts, *pieces) == b"KKK"
    assert hosts.sessions == 1


def test_domains_at_one_host_use_the_same_connection(pool: Pool, hosts: FlakyHosts) -> None:
    pieces = [([pool.job(n, 0, b"r@" + domain)], 0.2) for n, domain in enumerate((FAR, OTHER))]

    assert deliver(pool, hosts, *pieces) == b"KK"
    assert hosts.sessions == 1


def test_a_kept_connection_that_the_host_has_closed_is_no_failure(
    pool: Pool, hosts: FlakyHosts
) -> None:
    hosts.patience = 0.1
    pieces = [([pool.job(n, n, b"r@" + FAR)], 0.5) for n in range(2)]

    assert deliver(pool, hosts, *pieces) == b"KK"
    assert hosts.sessions == 2


def test_messages_for_one_host_share_its_few_connections(pool: Pool, hosts: FlakyHosts) -> None:
    jobs = [pool.job(n, n, b"r@" + FAR) for n in range(40)]

    assert deliver(pool, hosts, (jobs, 0)) == b"K" * 40
    assert hosts.sessions == 3  # the limit of this pool


def test_who_asks_where_nobody_answers_asks_for_all(
    pool: Pool, hosts: FlakyHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LONG", 0.5)
    pool.set("timeoutremote", "1")
    hosts.slowness = 30
    first = [pool.job(0, 0, b"r@" + FAR)]
    others = [pool.job(n, n, b"r@" + (FAR, OTHER)[n % 2]) for n in range(1, 20)]

    assert deliver(pool, hosts, (first, 3), (others, 0)) == b"Z" * 20
    assert hosts.sessions == 2  # one at each of the two hosts


def test_what_nobody_foresaw_defers_one_delivery_and_is_one_line_on_descriptor_2(
    pool: Pool,
    hosts: FlakyHosts,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    sound = remote.RemoteDeliverer.deliver

    async def deliver_one(self: remote.RemoteDeliverer, delivery: remote.Delivery) -> Outcome:
        if delivery.host == OTHER:
            raise KeyError("no\nsuch thing")
        return await sound(self, delivery)

    monkeypatch.setattr(remote.RemoteDeliverer, "deliver", deliver_one)
    jobs = [pool.job(0, 46, b"r@" + OTHER), pool.job(1, 46, b"r@" + FAR)]

    assert deliver(pool, hosts, (jobs, 0)) == b"ZK"
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(
        "alert: qmail-rspawn: msg 46: unexpected KeyError('no\\nsuch_thing') at "
    )
    assert "remote_spawner.py:" in line
