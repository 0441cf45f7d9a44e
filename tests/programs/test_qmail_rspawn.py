"""qmail-rspawn between a qmail-send and a qmail-remote that the test plays."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.differential.replay.strangers import ScriptedServer
from tests.support.spawning import MESSAGE, NOBODY, SpawnHome, running, spawn_home

from pyqmail.protocol.spawn import Job, encode_job

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPIENTS = {"bob": "550 no\r\n", "cat": "450 later\r\n", "": "250 ok\r\n"}
REPLIES = {
    "HELO": "250 far\r\n",
    "MAIL": "250 ok\r\n",
    "DATA": "354 go\r\n",
    ".": "250 ok\r\n",
    "QUIT": "221 bye\r\n",
}

pytestmark = pytest.mark.process


@pytest.fixture
def home(launchers: str) -> Iterator[SpawnHome]:
    with spawn_home(launchers) as home:
        (home.path / "queue/lock").mkdir()
        (home.path / "queue/lock/tcpto").write_bytes(b"\1" * 1024)
        home.own()
        yield home


def remote(home: SpawnHome, script: str) -> str:
    """Make a program that plays qmail-remote; return its path."""
    path = home.path / "remote"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def report_on(home: SpawnHome, script: str) -> bytes:
    """Return the report on a delivery that a qmail-remote with this script makes."""
    with running(home, "qmail-rspawn", QMAILREMOTE=remote(home, script)) as spawner:
        spawner.deliver(3, b"ann@far.example")
        return spawner.reports(1)[3]


@pytest.mark.parametrize(
    ("said", "report"),
    [
        (r"r\0K1.2.3.4 accepted message.\n\0", b"K1.2.3.4 accepted message.\n"),
        (r"h1.2.3.4 no.\n\0DGiving up.\n\0", b"D1.2.3.4 no.\nGiving up.\n"),
        (r"s1.2.3.4 later.\n\0DGiving up.\n\0", b"Z1.2.3.4 later.\nGiving up.\n"),
        (r"ZConnected, but it died.\n\0", b"ZConnected, but it died.\n"),
        (r"DNo such host.\n\0", b"DNo such host.\n"),
        (r"r\0ZConnection died.\n\0", b"ZConnection died.\n"),
        (r"", b"Zqmail-remote produced no output.\n"),
        (r"no report at all", b"D"),
    ],
)
def test_what_qmail_remote_says_becomes_one_report(
    home: SpawnHome, said: str, report: bytes
) -> None:
    assert report_on(home, f"printf '{said}'") == report


@pytest.mark.parametrize(
    ("ending", "report"),
    [
        ("kill -9 $$", b"Zqmail-remote crashed.\n"),
        ("exit 111", b"ZUnable to run qmail-remote.\n"),
        ("exit 1", b"DUnable to run qmail-remote.\n"),
    ],
)
def test_how_qmail_remote_ends_counts_more_than_what_it_says(
    home: SpawnHome, ending: str, report: bytes
) -> None:
    assert report_on(home, rf"printf 'r\0Kok\n\0'; {ending}") == report


def test_qmail_remote_gets_host_reverse_path_and_recipient_and_the_message(
    home: SpawnHome,
) -> None:
    seen = shlex.quote(f"{home.path}/seen")

    report_on(home, rf"printf '%s\n' $# $@ >{seen}; cat >>{seen}; printf 'r\0Kok\n\0'")

    assert (home.path / "seen").read_bytes() == b"3\nfar.example\ns@x\nann@far.example\n" + MESSAGE


def test_a_qmail_remote_that_cannot_be_run_delays_the_mail(home: SpawnHome) -> None:
    with running(home, "qmail-rspawn", QMAILREMOTE="/nowhere/qmail-remote") as spawner:
        spawner.deliver(0, b"ann@far.example")

        assert spawner.reports(1) == {0: b"ZUnable to run qmail-remote.\n"}


@pytest.mark.parametrize("found", [True, False])
def test_our_own_qmail_remote_delivers_without_a_process(home: SpawnHome, *, found: bool) -> None:
    server = ScriptedServer({"greet": "220 far\r\n", "replies": {**REPLIES, "RCPT": RECIPIENTS}})
    (home.path / "control/me").write_text("me.example\n")
    (home.path / "control/smtproutes").write_text(f":127.0.0.1:{server.port}\n")
    path = f"{home.path}/bin" if found else "/nowhere"
    with running(home, "qmail-rspawn", PATH=path) as spawner:
        for slot, name in enumerate((b"ann", b"bob", b"cat")):
            spawner.deliver(slot, name + b"@far.example")
        reports = spawner.reports(3)
        children = Path(f"/proc/{spawner.process.pid}/task/{spawner.process.pid}/children")
        assert children.read_text() == ""
    server.stop()

    said = b"127.0.0.1 does not like recipient.\nRemote host said: %b\nGiving up on 127.0.0.1.\n"
    assert reports == {
        0: b"K127.0.0.1 accepted message.\nRemote host said: 250 ok\n",
        1: b"D" + said % b"550 no",
        2: b"Z" + said % b"450 later",
    }


def test_the_qmail_remote_of_the_path_is_run(home: SpawnHome) -> None:
    folder = Path(remote(home, r"printf 'r\0Kfound\n\0'")).parent
    os.rename(folder / "remote", folder / "qmail-remote")
    with running(home, "qmail-rspawn", PATH=f"{folder}:{os.defpath}") as spawner:
        spawner.deliver(0, b"ann@far.example")

        assert spawner.reports(1) == {0: b"Kfound\n"}


@pytest.mark.parametrize(
    ("job", "report"),
    [
        (Job(120, b"0/23", b"s@x", b"a@b"), b"ZInternal error: delnum too big. (#4.3.5)\n"),
        (Job(0, b"../x", b"s@x", b"a@b"), b"DInternal error: messid has nonnumerics. (#5.3.5)\n"),
        (Job(0, b"/0/23", b"s@x", b"a@b"), b"DInternal error: messid has nonnumerics. (#5.3.5)\n"),
        (Job(0, b"1" * 100, b"s@x", b"a@b"), b"DInternal error: messid too long. (#5.3.5)\n"),
        (Job(0, b"", b"s@x", b"a@b"), b"DInternal error: messid too short. (#5.3.5)\n"),
        (Job(0, b"0/23", b"s@x", b"a"), b"DSorry, address must include host name. (#5.1.3)\n"),
        (Job(0, b"0/24", b"s@x", b"a@b"), b"Zqmail-spawn unable to open message. (#4.3.0)\n"),
        (Job(0, b"0", b"s@x", b"a@b"), b"ZSorry, message has wrong type. (#4.3.5)\n"),
        (Job(0, b"0/23", b"s" * 20000, b"a@b"), b"Zqmail-spawn out of memory. (#4.3.0)\n"),
    ],
)
def test_a_job_that_is_not_sound_is_refused(home: SpawnHome, job: Job, report: bytes) -> None:
    with running(home, "qmail-rspawn") as spawner:
        spawner.send(encode_job(job))

        assert spawner.reports(1) == {job.slot: report}


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a file away")
def test_a_message_of_a_stranger_is_refused(home: SpawnHome) -> None:
    os.chown(home.path / "queue/mess/0/23", NOBODY - 1, NOBODY - 1)
    with running(home, "qmail-rspawn") as spawner:
        spawner.deliver(0, b"a@b")

        assert spawner.reports(1) == {0: b"ZSorry, message has wrong owner. (#4.3.5)\n"}


def test_a_slot_that_is_taken_is_not_given_twice(home: SpawnHome) -> None:
    with running(home, "qmail-rspawn", QMAILREMOTE=remote(home, "read line <fifo")) as spawner:
        spawner.deliver(0, b"a@b")
        spawner.deliver(0, b"c@d")

        assert spawner.reports(1) == {0: b"ZInternal error: delnum in use. (#4.3.5)\n"}


def test_many_deliveries_run_at_once(home: SpawnHome) -> None:
    fifo = home.path / "fifo"
    os.mkfifo(fifo)
    script = rf"read line <{shlex.quote(str(fifo))}; printf 'r\0K%s\n\0' $3"
    with running(home, "qmail-rspawn", QMAILREMOTE=remote(home, script)) as spawner:
        for slot in range(20):
            spawner.deliver(slot, b"r%d@far.example" % slot)
        with fifo.open("wb", buffering=0) as opened:  # opens when the first reads; all of them do
            opened.write(b"\n" * 20)
            reports = spawner.reports(20)

    assert reports == {slot: b"Kr%d@far.example\n" % slot for slot in range(20)}


def test_it_greets_with_120_slots_or_more_if_more_are_asked_for(home: SpawnHome) -> None:
    for text, slots in (("20\n", 120), ("200\n", 200)):
        (home.path / "control/concurrencyremote").write_text(text)
        with running(home, "qmail-rspawn", PATH="/nowhere") as spawner:
            spawner.deliver(0, b"a@b")
            spawner.reports(1)

            assert spawner.greeting == bytes([slots])


def test_it_forgets_the_hosts_that_did_not_answer(home: SpawnHome) -> None:
    with running(home, "qmail-rspawn", PATH="/nowhere") as spawner:
        spawner.deliver(0, b"a@b")
        spawner.reports(1)

    assert (home.path / "queue/lock/tcpto").read_bytes() == bytes(1024)


def test_it_ends_when_qmail_send_is_gone_and_the_deliveries_are_made(home: SpawnHome) -> None:
    os.mkfifo(home.path / "fifo")
    script = f"read line <{shlex.quote(str(home.path / 'fifo'))}; : >{home.path}/delivered"
    with running(home, "qmail-rspawn", QMAILREMOTE=remote(home, script)) as spawner:
        spawner.deliver(0, b"a@b")
        with (home.path / "fifo").open("wb") as opened:
            spawner.hang_up()
            opened.write(b"\n")
        code = spawner.process.wait(30)

    assert code == 0
    assert (home.path / "delivered").exists()


def test_without_a_queue_it_ends_with_111(home: SpawnHome) -> None:
    os.rename(home.path / "queue", home.path / "gone")

    ended = subprocess.run(
        [f"{home.path}/bin/qmail-rspawn"],
        env={"PATH": os.defpath, "QMAILHOME": str(home.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (111, b"")


def test_when_descriptors_run_out_deliveries_wait_and_it_goes_on(home: SpawnHome) -> None:
    path = remote(home, r"printf 'r\0Kok\n\0'; exec sleep 0.2")
    limited = home.path / "limited"
    limited.write_text(f"#!/bin/sh\nulimit -n 24\nexec {home.path}/bin/qmail-rspawn\n")
    limited.chmod(0o755)
    with running(home, str(limited), QMAILREMOTE=path) as spawner:
        for slot in range(20):
            spawner.deliver(slot, b"a@b")
        reports = spawner.reports(20)
        spawner.deliver(0, b"a@b")
        later = spawner.reports(1)

    assert {report[:1] for report in reports.values()} == {b"K", b"Z"}
    assert later == {0: b"Kok\n"}
