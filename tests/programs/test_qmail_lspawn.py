"""qmail-lspawn and its delivery workers, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.launchers import launcher_folder
from tests.support.spawning import MESSAGE, PATIENCE, SpawnHome, running, spawn_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

DELIVERED = b"Kdid 1+0+0\n"
CRASHED = b"Zqmail-local crashed.\n"


@pytest.fixture(scope="module")
def launchers() -> Iterator[str]:
    with launcher_folder() as folder:
        yield folder


@pytest.fixture
def home(launchers: str) -> Iterator[SpawnHome]:
    with spawn_home(launchers) as made:
        yield made


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def new_messages(user_home: Path) -> list[bytes]:
    return [path.read_bytes() for path in (user_home / "Maildir/new").iterdir()]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_many_deliveries_to_one_user_are_made_by_one_worker(home: SpawnHome) -> None:
    joe = home.add_user("joe")

    with running(home) as spawner:
        for slot in range(100):
            spawner.deliver(slot, b"joe@h")
        reports = spawner.reports(100)
        workers = spawner.children()

    assert reports == dict.fromkeys(range(100), DELIVERED)
    assert new_messages(joe) == [b"Return-Path: <s@x>\nDelivered-To: joe@h\n" + MESSAGE] * 100
    assert len(workers) == 1


def test_a_slow_program_does_not_delay_a_maildir_of_the_same_user(home: SpawnHome) -> None:
    joe = home.add_user("joe")
    (joe / ".qmail-slow").write_text("|echo $PPID > pid; read x < go; cat > slow\n")
    os.mkfifo(joe / "go", 0o666)
    home.own()

    with running(home) as spawner:
        spawner.deliver(0, b"joe-slow@h")
        wait_until((joe / "pid").exists)
        spawner.deliver(1, b"joe@h")
        first = spawner.reports(1)
        (joe / "go").write_text("go\n")
        second = spawner.reports(1)

    assert first == {1: DELIVERED}
    assert second == {0: b"Kdid 0+0+1\n"}
    assert (joe / "slow").read_bytes() == MESSAGE


def test_a_killed_worker_has_crashed_and_the_next_delivery_gets_another(home: SpawnHome) -> None:
    joe = home.add_user("joe", "|echo > started; sleep 60\n")

    with running(home) as spawner:
        for slot in range(3):
            spawner.deliver(slot, b"joe@h")
        wait_until((joe / "started").exists)
        (worker,) = spawner.children()
        os.kill(worker, signal.SIGKILL)
        reports = spawner.reports(3)
        (joe / ".qmail").write_text("./Maildir/\n")
        spawner.deliver(0, b"joe@h")
        after = spawner.reports(1)

    assert reports == dict.fromkeys(range(3), CRASHED)
    assert after == {0: DELIVERED}
    assert len(new_messages(joe)) == 1


def test_workers_killed_in_the_middle_of_batches_lose_no_delivery_they_answered(
    home: SpawnHome,
) -> None:
    joe = home.add_user("joe")
    delivered = crashed = 0

    with running(home) as spawner:
        for _ in range(10):
            for slot in range(100):
                spawner.deliver(slot, b"joe@h")
            wait_until(lambda: bool(spawner.children()))
            for worker in spawner.children():
                os.kill(worker, signal.SIGKILL)
            reports = list(spawner.reports(100).values())
            delivered += reports.count(DELIVERED)
            crashed += reports.count(CRASHED)

    assert delivered + crashed == 1000
    assert crashed
    assert len(new_messages(joe)) >= delivered
    assert all(message.endswith(MESSAGE) for message in new_messages(joe))


def test_an_mbox_that_hangs_delays_its_delivery_alone(home: SpawnHome) -> None:
    joe = home.add_user("joe", "./locked\n")
    ann = home.add_user("ann")
    (joe / "locked").touch()
    home.own()

    with subprocess.Popen(
        ["flock", str(joe / "locked"), "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as locker:
        assert locker.stdin is not None
        wait_until(lambda: _is_locked(joe / "locked"))
        with running(home) as spawner:
            spawner.deliver(0, b"joe@h")
            spawner.deliver(1, b"ann@h")
            first = spawner.reports(1)
            locker.stdin.close()
            second = spawner.reports(1)

    assert first == {1: DELIVERED}
    assert second == {0: DELIVERED}
    assert len(new_messages(ann)) == 1


def _is_locked(path: Path) -> bool:
    return subprocess.run(["flock", "-n", str(path), "true"], check=False).returncode != 0


def test_a_program_in_the_background_keeps_the_delivery_open(home: SpawnHome) -> None:
    joe = home.add_user("joe", "|(read x < go; echo late) &\n")
    os.mkfifo(joe / "go", 0o666)
    home.own()

    with running(home) as spawner:
        spawner.deliver(0, b"joe@h")
        (joe / "go").write_text("go\n")
        report = spawner.reports(1)[0]

    assert report.startswith(b"K")
    assert sorted(report[1:].splitlines()) == [b"did 0+0+1", b"late"]


def test_another_qmail_local_is_executed_for_each_delivery(home: SpawnHome) -> None:
    home.add_user("joe")
    launchers = os.readlink(home.path / "bin")
    (home.path / "bin").unlink()
    (home.path / "bin").mkdir()
    for name in os.listdir(launchers):
        if name != "qmail-local":
            (home.path / "bin" / name).symlink_to(f"{launchers}/{name}")
    other = home.path / "bin/qmail-local"
    other.write_text('#!/bin/sh\necho "$0 $# $2 $4 $7 $8 $9"; cat; exit 100\n')
    other.chmod(0o755)
    home.own()

    with running(home) as spawner:
        spawner.deliver(0, b"joe@h")
        report = spawner.reports(1)[0]

    assert report == b"Dbin/qmail-local 9 joe joe h s@x ./Mailbox\n" + MESSAGE


def test_a_local_part_that_nobody_has_belongs_to_alias(home: SpawnHome) -> None:
    (home.path / "alias/.qmail-postmaster").write_text("|echo alias $USER $EXT\n")
    home.own()

    with running(home) as spawner:
        spawner.deliver(0, b"postmaster@h")
        spawner.deliver(1, b"nobody@h")
        spawner.deliver(2, b"root@h")
        reports = spawner.reports(3)

    assert reports[0] == b"Kalias alias postmaster\ndid 0+0+1\n"
    no_mailbox = b"DSorry, no mailbox here by that name. (#5.1.1)\n"
    assert (reports[1], reports[2]) == (no_mailbox, no_mailbox)


def test_mail_to_nobody_at_all_is_thrown_away(home: SpawnHome) -> None:
    with running(home) as spawner:
        spawner.deliver(0, b"@h")

        assert spawner.reports(1) == {0: b"K"}


def test_a_damaged_users_cdb_delays_the_mail(home: SpawnHome) -> None:
    (home.path / "users/cdb").write_bytes(b"x")

    with running(home) as spawner:
        spawner.deliver(0, b"joe@h")

        assert spawner.reports(1) == {0: b"ZTrouble reading users/cdb in qmail-lspawn.\n"}


def test_it_ends_when_qmail_send_is_gone_and_the_deliveries_are_made(home: SpawnHome) -> None:
    joe = home.add_user("joe", "|cat > done; sleep 0.2\n")

    with running(home) as spawner:
        spawner.deliver(0, b"joe@h")
        assert spawner.process.stdin is not None
        spawner.process.stdin.close()
        reports = spawner.reports(1)

        assert spawner.process.wait(PATIENCE) == 0

    assert reports == {0: b"Kdid 0+0+1\n"}
    assert (joe / "done").read_bytes() == MESSAGE


def test_its_workers_end_with_it(home: SpawnHome) -> None:
    home.add_user("joe")

    with running(home) as spawner:
        spawner.deliver(0, b"joe@h")
        spawner.reports(1)
        (worker,) = spawner.children()

    wait_until(lambda: not is_running(worker))
    assert not is_running(worker)


def test_workers_and_deliveries_have_no_descriptor_of_anybody_else(home: SpawnHome) -> None:
    joe = home.add_user("joe", "|echo $PPID > pid; read x < go\n")
    home.add_user("ann")
    os.mkfifo(joe / "go", 0o666)
    home.own()

    with running(home) as spawner:
        spawner.deliver(0, b"ann@h")
        spawner.reports(1)
        spawner.deliver(1, b"joe@h")
        wait_until(lambda: (joe / "pid").exists() and (joe / "pid").read_text() != "")
        delivery = opened_by(int((joe / "pid").read_text()))
        workers = [opened_by(pid) for pid in spawner.children()]
        (joe / "go").write_text("go\n")
        spawner.reports(1)

    assert delivery[0] == str(home.path / "queue/mess/0/23")
    assert [name.partition(":")[0] for name in delivery].count("socket") == 0
    for opened in workers:
        assert opened[:2] == [os.devnull, os.devnull]
        assert [name.partition(":")[0] for name in opened].count("socket") == 1
        assert not any("/queue/" in name for name in opened)


def opened_by(pid: int) -> list[str]:
    """Return what the descriptors of a process are, the first being 0."""
    folder = f"/proc/{pid}/fd"
    return [os.readlink(f"{folder}/{number}") for number in sorted(os.listdir(folder), key=int)]
