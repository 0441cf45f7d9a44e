"""qmail-rspawn with more deliveries at once than the original could number."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import affordable, proportional
from tests.support.holding_host import HoldingHost
from tests.support.spawning import SpawnHome, running, spawn_home

from pyqmail.protocol.spawn import Job, encode_job

if TYPE_CHECKING:
    from collections.abc import Iterator

DELIVERIES = 500
PER_HOST = 20  # connections to one place
MEMORY = 100_000_000  # bytes

pytestmark = pytest.mark.process


@pytest.fixture
def home(launchers: str) -> Iterator[SpawnHome]:
    with spawn_home(launchers) as home:
        (home.path / "queue/lock").mkdir()
        (home.path / "queue/lock/tcpto").write_bytes(bytes(1024))
        (home.path / "control/me").write_text("me.example\n")
        yield home


@pytest.fixture
def host() -> Iterator[HoldingHost]:
    with HoldingHost().running() as host:
        yield host


def route(home: SpawnHome, host: HoldingHost, hosts: int) -> None:
    """Make each of so many domains the business of another address."""
    routes = [f"d{n}.example:127.0.2.{n + 1}:{host.port}\n" for n in range(hosts)]
    (home.path / "control/smtproutes").write_text("".join(routes))
    home.own()


@pytest.mark.timeout(180)
def test_500_slow_deliveries_at_once_take_less_than_100_megabytes(
    home: SpawnHome, host: HoldingHost
) -> None:
    deliveries = affordable(2 * DELIVERIES) // 2
    route(home, host, DELIVERIES // PER_HOST)
    (home.path / "control/concurrencyremote").write_text("600\n")
    with running(home, "qmail-rspawn", width=2, PATH="/nowhere") as spawner:
        for slot in range(deliveries):
            domain = b"d%d.example" % (slot % (DELIVERIES // PER_HOST))
            # Senders that differ: nobody shares a transaction.
            job = Job(slot, b"0/23", b"s-%d@x" % slot, b"r@" + domain)
            spawner.send(encode_job(job, width=2))
        host.wait_until_held(deliveries)
        memory = proportional(spawner.process.pid)
        host.go_on()
        reports = spawner.reports(deliveries)

    assert memory < MEMORY, memory
    assert spawner.greeting == (600).to_bytes(2, "big")
    assert {slot for slot, report in reports.items() if report[:1] == b"K"} == set(
        range(deliveries)
    )


def test_what_runs_when_it_is_terminated_is_nobodys_success(
    home: SpawnHome, host: HoldingHost
) -> None:
    route(home, host, 1)
    with running(home, "qmail-rspawn", PATH="/nowhere") as spawner:
        spawner.deliver(0, b"ann@d0.example")
        host.wait_until_held(1)
        spawner.process.send_signal(signal.SIGTERM)
        code = spawner.process.wait(30)
        assert spawner.process.stdout is not None
        said = os.read(spawner.process.stdout.fileno(), 100)

    assert code == -signal.SIGTERM
    assert said == bytes([120])  # the greeting, and no report


def test_when_descriptors_run_out_mail_waits_and_each_job_is_reported_once(
    home: SpawnHome, host: HoldingHost
) -> None:
    route(home, host, 4)
    (home.path / "control/concurrencyremote").write_text("100\n")
    limited = home.path / "limited"
    limited.write_text(f"#!/bin/sh\nulimit -n 60\nexec {home.path}/bin/qmail-rspawn\n")
    limited.chmod(0o755)
    with running(home, str(limited), PATH="/nowhere") as spawner:
        for slot in range(100):
            job = Job(slot, b"0/23", b"s-%d@x" % slot, b"r@d%d.example" % (slot % 4))
            spawner.send(encode_job(job))
        host.wait_until_held(10)
        host.go_on()
        reports = spawner.reports(100)
        spawner.deliver(0, b"ann@d0.example")
        later = spawner.reports(1)

    letters = [report[:1] for report in reports.values()]
    assert sorted(reports) == list(range(100))
    assert set(letters) == {b"K", b"Z"}
    assert later[0][:1] == b"K"
    assert len(host.taken) == letters.count(b"K") + 1
