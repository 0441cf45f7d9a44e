"""qmail-send as a process, between spawners that the test plays: what becomes of mail."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.queue_stub import QueueStub

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.sending import SendHome

pytestmark = pytest.mark.process


def masked(log: bytes, number: int) -> list[str]:
    text = re.sub(rb"qp \d+ uid \d+", b"qp P uid U", log.replace(b"%d" % number, b"N"))
    return re.sub(r"bytes \d+", "bytes B", text.decode()).splitlines()


def test_a_delivered_message_leaves_the_lines_of_the_manual_and_nothing_else(
    running: SendHome,
) -> None:
    number = running.inject(b"aku@here.example")

    ((channel, job),) = running.jobs(1)
    assert (channel, job.slot) == ("local", 0)
    assert job.message_path == b"%d/%d" % (number % 23, number)
    assert (job.reverse_path, job.forward_path) == (b"sue@far.example", b"aku@here.example")
    running.report("local", b"\0Kdid 1+0+0\n\0")
    running.wait_until_logged(rb"^end msg")

    assert masked(running.log(), number) == [
        "status: local 0/10 remote 0/20",
        "new msg N",
        "info msg N: bytes B from <sue@far.example> qp P uid U",
        "starting delivery 1: msg N to local aku@here.example",
        "status: local 1/10 remote 0/20",
        "delivery 1: success: did_1+0+0/",
        "status: local 0/10 remote 0/20",
        "end msg N",
    ]
    running.wait_until(lambda: running.queued() == {})


def test_what_is_delivered_at_once_is_never_written_down(running: SendHome) -> None:
    running.inject(b"aku@here.example", b"ann@far.example")

    running.jobs(2)

    assert list(running.queued("info", "local", "remote")) == []


def test_a_failure_is_told_to_the_sender_and_the_message_removed(
    running: SendHome, bounces: QueueStub
) -> None:
    number = running.inject(b"nobody@here.example")

    running.jobs(1)
    running.report("local", b"\0DSorry, no mailbox here by that name. (#5.1.1)\n\0")
    running.wait_until_logged(rb"^end msg")

    ((message, envelope),) = bounces.received()
    assert envelope == b"F\0Tsue@far.example\0\0"
    assert (
        b"\n\n<nobody@here.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
        b"--- Below this line is a copy of the message.\n\n"
    ) in message
    assert b"\n\nReturn-Path: <sue@far.example>\nReceived: " in message
    lines = masked(running.log(), number)[5:]
    assert lines[0] == "delivery 1: failure: Sorry,_no_mailbox_here_by_that_name._(#5.1.1)/"
    assert lines[1] == "status: local 0/10 remote 0/20"
    assert lines[2].startswith("bounce msg N qp ")
    assert lines[3] == "end msg N"
    running.wait_until(lambda: running.queued() == {})


def test_a_failed_double_bounce_is_discarded(running: SendHome, bounces: QueueStub) -> None:
    number = running.inject(b"nobody@here.example", reverse_path=b"#@[]")

    running.jobs(1)
    running.report("local", b"\0Dno\n\0")
    running.wait_until_logged(rb"^end msg")

    assert b"triple bounce: discarding bounce/%d\n" % number in running.log()
    assert bounces.received() == []


def test_a_deferral_is_written_down_and_tried_again_when_alrm_comes(running: SendHome) -> None:
    number = running.inject(b"aku@here.example")
    running.jobs(1)
    running.report("local", b"\0Zlater\n\0")
    running.wait_until_logged(rb"deferral: later/")
    running.wait_until(lambda: running.queued("todo") == {})
    name = f"{number % 23}/{number}"
    assert running.queued("info", "local") == {
        f"info/{name}": b"Fsue@far.example\0",
        f"local/{name}": b"Taku@here.example\0",
    }

    running.signal(signal.SIGALRM)
    running.jobs(1)
    running.report("local", b"\0Kok\n\0")

    running.wait_until(lambda: running.queued() == {})


def test_alrm_right_after_a_deferral_is_not_missed(running: SendHome) -> None:
    running.inject(b"aku@here.example")
    running.jobs(1)

    running.report("local", b"\0Zlater\n\0")
    running.wait_until_logged(rb"deferral: later/")
    running.signal(signal.SIGALRM)

    assert running.jobs(1)[0][1].forward_path == b"aku@here.example"


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (b"\0\0", rb"^delivery 1: report mangled, will defer$"),
        (b"\0Xwhat\0", rb"^delivery 1: report mangled, will defer$"),
        (b"\x09Kok\0", rb"^warning: internal error: delivery report out of range$"),
        (b"\xffKok\0", rb"^warning: internal error: delivery report out of range$"),
        (b"\0Z" + b"x" * 100_000 + b"\0", rb"^delivery 1: deferral: x{9998}$"),
        (b"\0Za%b\x80 c\n\n\0", rb"^delivery 1: deferral: a_b__c//$"),
    ],
)
def test_a_strange_report_harms_nobody(running: SendHome, report: bytes, line: bytes) -> None:
    running.inject(b"aku@here.example")
    running.jobs(1)

    running.report("local", report)

    running.wait_until_logged(line)
    running.inject(b"kamu@here.example")
    assert b"kamu@here.example" in {job.forward_path for _, job in running.jobs(1)}


def test_a_message_in_the_queue_too_long_is_given_up(home: SendHome, bounces: QueueStub) -> None:
    home.control("queuelifetime", "0\n")
    home.start()
    home.inject(b"aku@here.example")
    home.jobs(1)
    home.report("local", b"\0Zlater\n\0")
    home.wait_until(lambda: home.queued("todo") == {})
    time.sleep(1.1)

    home.signal(signal.SIGALRM)
    home.jobs(1)
    home.report("local", b"\0Zstill later\n\0")
    home.wait_until_logged(rb"^end msg")

    assert (
        b"still later\nI'm not going to try again; this message has been"
        in (bounces.received()[0][0])
    )


def test_concurrency_0_holds_a_channel(home: SendHome) -> None:
    home.control("concurrencylocal", "0\n")
    home.start()

    home.inject(b"aku@here.example")
    home.inject(b"ann@far.example")

    ((channel, _job),) = home.jobs(1)
    assert channel == "remote"
    assert home.no_job()


def test_no_spawner_gets_more_than_it_has_slots_for(home: SendHome) -> None:
    home.start(greeting=b"\x02")

    home.inject(*[b"r%d@here.example" % number for number in range(5)])

    assert {job.slot for _, job in home.jobs(2)} == {0, 1}
    assert home.no_job()
    assert b"status: local 2/2 remote 0/2\n" in home.log()


def test_hup_reads_locals_again(running: SendHome) -> None:
    running.control("locals", "far.example\n")
    running.signal(signal.SIGHUP)
    time.sleep(0.3)

    running.inject(b"ann@far.example")

    assert running.jobs(1)[0][0] == "local"


def test_a_broken_control_file_at_hup_changes_nothing_but_the_log(running: SendHome) -> None:
    os.mkdir(running.path + "/control/locals")

    running.signal(signal.SIGHUP)

    running.wait_until_logged(rb"^alert: unable to reread control/locals")
    running.inject(b"aku@here.example")
    assert running.jobs(1)[0][0] == "local"


def test_a_long_list_does_not_hold_up_others(home: SendHome) -> None:
    home.start(greeting=b"\x02")
    home.inject(*[b"r%d@here.example" % number for number in range(5000)])
    for _ in range(6):
        ((_, job),) = home.jobs(1)
        home.report("local", bytes([job.slot]) + b"Kok\n\0")
    home.inject(b"aku@here.example")

    for _ in range(100):
        ((_, job),) = home.jobs(1)
        home.report("local", bytes([job.slot]) + b"Kok\n\0")
        if job.forward_path == b"aku@here.example":
            break

    assert job.forward_path == b"aku@here.example"


def test_every_recipient_of_a_long_list_is_served_once(home: SendHome) -> None:
    home.start(greeting=b"\x14")
    expected = sorted(b"r%d@here.example" % number for number in range(1000))
    home.inject(*expected)
    served = []
    for _ in expected:
        ((_, job),) = home.jobs(1)
        served.append(job.forward_path)
        home.report("local", bytes([job.slot]) + b"Kok\n\0")

    home.wait_until(lambda: home.queued() == {})

    assert sorted(served) == expected


def test_a_bounce_that_cannot_be_queued_waits_on_disk(home: SendHome, tmp_path: Path) -> None:
    QueueStub(str(tmp_path / "stub"), str(tmp_path / "bounces"), "exit 53")
    home.start()
    number = home.inject(b"nobody@here.example")
    home.jobs(1)
    home.report("local", b"\0Dno\n\0")

    home.wait_until_logged(rb"^warning: trouble injecting bounce message, will try later$")
    home.wait_until(lambda: home.queued("local", "todo") == {})

    assert home.queued("bounce") == {f"bounce/{number}": b"<nobody@here.example>:\nno\n\n"}
