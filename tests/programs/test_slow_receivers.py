"""A long message to hosts that read slowly: nobody else waits for them, and nothing comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.holding_host import HoldingHost
from tests.support.slow_host import END, SlowHost
from tests.support.spawning import SpawnHome, running, spawn_home

from pyqmail.protocol.spawn import Job, encode_job

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = b"x" * 60 + b"\n"
MESSAGE = b"Subject: long\n\n" + LINE * 17_000  # a megabyte
TIMEOUT = 2  # seconds in which a host must take a piece of a message, and answer
OTHERS = 20  # messages for a host that is quick

pytestmark = pytest.mark.process


@pytest.fixture
def home(launchers: str) -> Iterator[SpawnHome]:
    with spawn_home(launchers) as home:
        (home.path / "queue/lock").mkdir()
        (home.path / "queue/lock/tcpto").write_bytes(bytes(1024))
        (home.path / "queue/mess/0/46").write_bytes(MESSAGE)
        (home.path / "control/me").write_text("me.example\n")
        (home.path / "control/timeoutremote").write_text(f"{TIMEOUT}\n")
        yield home


def test_hosts_that_read_slowly_delay_nobody_and_get_nothing_twice(home: SpawnHome) -> None:
    # Both take longer than the limit for the whole; the second takes each piece in time.
    with (
        SlowHost(1, 0.1).running() as drop,
        SlowHost(16_384, 0.05).running() as trickle,
        HoldingHost().running() as quick,
    ):
        quick.go_on()
        ports = {"drop": drop.port, "trickle": trickle.port, "quick": quick.port}
        routes = [f"{name}.example:127.0.0.1:{port}\n" for name, port in ports.items()]
        (home.path / "control/smtproutes").write_text("".join(routes))
        home.own()
        with running(home, "qmail-rspawn", PATH="/nowhere") as spawner:
            spawner.send(encode_job(Job(0, b"0/46", b"s@x", b"joe@drop.example")))
            spawner.send(encode_job(Job(1, b"0/46", b"s@x", b"joe@trickle.example")))
            assert drop.begun.wait(30)
            assert trickle.begun.wait(30)
            for slot in range(2, 2 + OTHERS):
                spawner.deliver(slot, b"joe@quick.example")
            first = spawner.reports(OTHERS)
            last = spawner.reports(2)

    assert set(first) == set(range(2, 2 + OTHERS))
    assert {report[:1] for report in first.values()} == {b"K"}
    assert last == {
        0: b"ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n",
        1: b"K127.0.0.1 accepted message.\nRemote host said: 250 ok\n",
    }
    assert (drop.sessions, drop.messages) == (1, [])
    assert trickle.messages == [MESSAGE.replace(b"\n", b"\r\n") + END[2:]]


def test_a_host_that_reads_on_after_we_have_given_up_gets_no_message(home: SpawnHome) -> None:
    # Short enough to be in the system's hands, with its end, before the host takes any of it.
    (home.path / "queue/mess/0/46").write_bytes(LINE * 1500)
    with SlowHost(4096, 2 * TIMEOUT, pauses=1).running() as host:
        (home.path / "control/smtproutes").write_text(f":127.0.0.1:{host.port}\n")
        home.own()
        with running(home, "qmail-rspawn", PATH="/nowhere") as spawner:
            spawner.send(encode_job(Job(0, b"0/46", b"s@x", b"joe@far.example")))
            report = spawner.reports(1)[0]
            assert host.left.wait(30)

    said = b"ZConnected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n"
    assert report == said
    assert (host.sessions, host.messages) == (1, [])
