"""qmail-send as a process, between spawners that the test plays."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.queue_stub import QueueStub
from tests.support.sending import SendHome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture
def bounces(tmp_path: Path) -> QueueStub:
    return QueueStub(str(tmp_path / "stub"), str(tmp_path / "bounces"))


@pytest.fixture
def home(tmp_path: Path, launchers: str, bounces: QueueStub) -> Iterator[SendHome]:
    made = SendHome(tmp_path, launchers, bounces.path)
    yield made
    made.let_go()


@pytest.fixture
def running(home: SendHome) -> SendHome:
    home.start()
    return home


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
    running.wait_for_log(rb"^end msg")

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
    running.wait_for_log(rb"^end msg")

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
    running.wait_for_log(rb"^end msg")

    assert b"triple bounce: discarding bounce/%d\n" % number in running.log()
    assert bounces.received() == []


def test_a_deferral_is_written_down_and_tried_again_when_alrm_comes(running: SendHome) -> None:
    number = running.inject(b"aku@here.example")
    running.jobs(1)
    running.report("local", b"\0Zlater\n\0")
    running.wait_for_log(rb"deferral: later/")
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
    running.wait_for_log(rb"deferral: later/")
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

    running.wait_for_log(line)
    running.inject(b"aku@here.example")
    running.jobs(1)


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
    home.wait_for_log(rb"^end msg")

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

    running.wait_for_log(rb"^alert: unable to reread control/locals")
    running.inject(b"aku@here.example")
    assert running.jobs(1)[0][0] == "local"


def test_term_waits_for_running_deliveries_and_writes_down_the_rest(home: SendHome) -> None:
    home.start(greeting=b"\x01")
    number = home.inject(b"a@here.example", b"b@here.example")
    home.jobs(1)

    home.signal(signal.SIGTERM)
    home.wait_until(lambda: home.queued("todo") == {})
    assert b"status: exiting" not in home.log()
    home.report("local", b"\0Kok\n\0")

    assert home.ended() == 0
    assert home.log().endswith(b"status: local 0/1 remote 0/1 exitasap\nstatus: exiting\n")
    assert home.queued("local") == {
        f"local/{number % 23}/{number}": b"Da@here.example\0Tb@here.example\0"
    }


def test_the_next_start_takes_over_times_and_recipients(home: SendHome) -> None:
    home.start()
    number = home.inject(b"a@here.example", b"b@far.example")
    home.jobs(2)
    home.report("local", b"\0Zlater\n\0")
    home.report("remote", b"\0Zlater\n\0")
    home.wait_until(lambda: home.queued("todo") == {})
    home.signal(signal.SIGTERM)
    assert home.ended() == 0
    info = os.stat(f"{home.path}/queue/info/{number % 23}/{number}").st_mtime
    for channel, pause in (("local", 100), ("remote", 400)):
        time_left = os.stat(f"{home.path}/queue/{channel}/{number % 23}/{number}").st_mtime - info
        assert abs(time_left - pause) <= 1

    home.start()
    assert home.no_job()
    home.signal(signal.SIGALRM)

    assert {job.forward_path for _, job in home.jobs(2)} == {b"a@here.example", b"b@far.example"}


def test_kill_9_and_a_new_start_lose_nothing(home: SendHome) -> None:
    home.start()
    for number in range(5):
        home.inject(b"r%d@here.example" % number)
    done = home.jobs(5)[0][1]
    home.report("local", bytes([done.slot]) + b"Kok\n\0")
    home.wait_until(lambda: len(home.queued("mess")) == 4)
    home.kill()

    home.start()

    paths = {job.forward_path for _, job in home.jobs(4)}
    assert paths >= {b"r%d@here.example" % number for number in range(5)} - {done.forward_path}


def test_a_queue_of_the_original_is_taken_over(home: SendHome) -> None:
    home.start()
    number = home.inject(b"x@here.example")
    home.jobs(1)
    home.kill()
    name = f"{number % 23}/{number}"
    for kind, data in (
        ("info", b"Fsue-@far.example-@[]\0"),
        ("local", b"Da@here.example\0Tb@here.example\0"),
    ):
        with open(f"{home.path}/queue/{kind}/{name}", "wb") as file:
            file.write(data)
    os.unlink(f"{home.path}/queue/todo/{number}")
    os.unlink(f"{home.path}/queue/intd/{number}")

    home.start()

    ((_, job),) = home.jobs(1)
    assert job.forward_path == b"b@here.example"
    assert job.reverse_path == b"sue-b=here.example@far.example"


def test_a_second_qmail_send_says_so_and_ends(running: SendHome, tmp_path: Path) -> None:
    other = SendHome(tmp_path / "other", running._launchers, "/bin/false")  # noqa: SLF001
    other.path = running.path

    other.launch()

    assert other.ended() == 111
    assert other.log() == b"alert: cannot start: qmail-send is already running\n"
    other.let_go()


@pytest.mark.parametrize("channel", ["local", "remote"])
def test_without_a_spawner_it_ends_in_order(running: SendHome, channel: str) -> None:
    running.inject(b"aku@here.example")
    running.jobs(1)

    running.hang_up("local" if channel == "local" else "remote")
    if channel == "remote":
        running.wait_for_log(rb"^alert: oh no! lost spawn")
        running.report("local", b"\0Kok\n\0")

    assert running.ended() == 0
    assert b"alert: oh no! lost spawn connection! dying...\n" in running.log()
    assert running.log().endswith(b"status: exiting\n")


def test_no_spawner_at_the_start_is_said(home: SendHome) -> None:
    home.launch()

    home.hang_up("local")

    assert home.ended() == 111
    assert home.log() == b"alert: cannot start: hath the daemon spawn no fire?\n"


@pytest.mark.parametrize(("name", "text"), [("bounceformat", "html\n"), ("bouncemaxbytes", "-1\n")])
def test_a_form_of_bounces_that_nobody_knows_is_named(home: SendHome, name: str, text: str) -> None:
    home.control(name, text)

    home.launch()

    assert home.ended() == 111
    assert home.log().startswith(
        b"alert: cannot start: unable to read controls: control/%b line 1: " % name.encode()
    )


def test_a_control_file_that_is_no_number_is_named(home: SendHome) -> None:
    home.control("queuelifetime", "a week\n")

    home.launch()

    assert home.ended() == 111
    assert home.log().startswith(
        b"alert: cannot start: unable to read controls: control/queuelifetime line 1: "
    )


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

    home.wait_for_log(rb"^warning: trouble injecting bounce message, will try later$")
    home.wait_until(lambda: home.queued("local", "todo") == {})

    assert home.queued("bounce") == {f"bounce/{number}": b"<nobody@here.example>:\nno\n\n"}


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("concurrencylocal", "ten\n", rb"control/concurrencylocal line 1: not a number: ten"),
        ("concurrencyremote", "-1\n", rb"control/concurrencyremote line 1: not a number: -1"),
        ("queuelifetime", "9" * 11 + "\n", rb"control/queuelifetime line 1: number too large: 9+"),
        ("bounceformat", "html\n", rb"control/bounceformat line 1: .+"),
        ("me", None, rb"control/locals: missing, and control/me too"),
    ],
)
def test_a_broken_control_file_is_named_and_keeps_it_from_starting(
    home: SendHome, name: str, text: str | None, wrong: bytes
) -> None:
    if text is None:
        os.unlink(f"{home.path}/control/{name}")
    else:
        home.control(name, text)

    home.launch()

    assert home.ended() == 111
    pattern = rb"alert: cannot start: unable to read controls: %b\n" % wrong
    assert re.fullmatch(pattern, home.log())


def test_empty_files_are_no_entries_or_defaults_and_crs_do_not_count(home: SendHome) -> None:
    for name in ("concurrencylocal", "queuelifetime", "virtualdomains", "percenthack"):
        home.control(name, "")
    home.control("concurrencyremote", "7\r\n")
    home.control("locals", "far.example\r\n")
    home.start()

    home.inject(b"ann@far.example", b"aku@here.example")

    assert home.log().startswith(b"status: local 0/10 remote 0/7\n")
    assert {(channel, job.forward_path) for channel, job in home.jobs(2)} == {
        ("local", b"ann@far.example"),
        ("remote", b"aku@here.example"),
    }


@pytest.mark.parametrize(
    ("gone", "line"),
    [
        ("", b"alert: cannot start: unable to switch to home directory\n"),
        ("queue", b"alert: cannot start: unable to switch to queue directory\n"),
        ("queue/lock/sendmutex", b"alert: cannot start: unable to open mutex\n"),
    ],
)
def test_what_is_missing_at_the_start_is_said(home: SendHome, gone: str, line: bytes) -> None:
    path = f"{home.path}/{gone}".rstrip("/")
    os.rename(path, path + ".gone")

    home.launch()

    assert home.ended() == 111
    assert home.log() == line


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGHUP])
def test_a_signal_while_it_starts_is_kept_until_it_has(home: SendHome, number: int) -> None:
    home.launch()
    home.wait_until(lambda: blocks(home.pid, number))

    home.signal(number)
    home.greet()

    home.wait_for_log(rb"^status: ")
    home.inject(b"aku@here.example")
    assert home.jobs(1)[0][1].forward_path == b"aku@here.example"


def blocks(pid: int, number: int) -> bool:
    """Is this signal blocked in the process?"""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        mask = re.search(r"SigBlk:\s*(\w+)", file.read())
    assert mask is not None
    return bool(int(mask[1], 16) & 1 << (number - 1))


def settle(home: SendHome, *forward_paths: bytes) -> int:
    """Have a message settled, all of its recipients deferred, and qmail-send ended."""
    home.start()
    number = home.inject(*forward_paths)
    for channel, job in home.jobs(len(forward_paths)):
        home.report(channel, bytes([job.slot]) + b"Zlater\n\0")
    home.wait_until(lambda: home.queued("todo") == {})
    home.signal(signal.SIGTERM)
    assert home.ended() == 0
    return number


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("info", rb"alert: msg N set aside, a file of it is damaged: trouble reading info/S/N"),
        ("local", rb"alert: msg N set aside, .*: unknown record type in local/S/N!"),
        ("remote", rb"alert: msg N set aside, .*: unknown record type in remote/S/N!"),
        ("mess", rb"alert: unable to stat mess/S/N; info/S/N.lost kept"),
    ],
)
def test_a_settled_message_with_a_damaged_file_is_set_aside_and_others_go_on(
    home: SendHome, kind: str, line: bytes
) -> None:
    number = settle(home, b"a@here.example", b"b@far.example")
    place = f"{number % 23}/{number}"
    if kind == "mess":
        os.unlink(f"{home.path}/queue/mess/{place}")
    else:
        with open(f"{home.path}/queue/{kind}/{place}", "wb") as file:
            file.write(b"\xffrubbish\0")

    home.start()
    home.signal(signal.SIGALRM)

    here = line.replace(b"S/N", place.encode()).replace(b" N ", b" %d " % number)
    home.wait_for_log(b"^" + here + b"$")
    home.inject(b"c@here.example")
    home.wait_until(lambda: b"c@here.example" in {job.forward_path for _, job in home.jobs(1)})


def test_a_new_message_with_a_damaged_envelope_is_set_aside_and_others_go_on(
    home: SendHome,
) -> None:
    with open(f"{home.path}/queue/todo/4711", "wb") as file:
        file.write(b"u1\0p2\0this is no envelope")
    os.makedirs(f"{home.path}/queue/mess/19", exist_ok=True)
    with open(f"{home.path}/queue/mess/{4711 % 23}/4711", "wb") as file:
        file.write(b"x")

    home.start()

    home.wait_for_log(rb"^alert: msg 4711 set aside, a file of it is damaged: .* todo/4711$")
    home.inject(b"c@here.example")
    assert home.jobs(1)[0][1].forward_path == b"c@here.example"
    assert "todo/4711" in home.queued("todo")


def test_a_bounce_file_that_is_none_is_an_alert_and_others_go_on(home: SendHome) -> None:
    number = settle(home, b"a@here.example")
    os.mkdir(f"{home.path}/queue/bounce/{number}")

    home.start()
    home.signal(signal.SIGALRM)
    home.jobs(1)
    home.report("local", b"\0Dno\n\0")

    home.wait_for_log(rb"^alert: unable to append to bounce message; HELP! sleeping...$")
    home.inject(b"c@here.example")
    assert home.jobs(1)[0][1].forward_path == b"c@here.example"
    assert home.queued("local") == {f"local/{number % 23}/{number}": b"Ta@here.example\0"}


def test_a_directory_that_cannot_be_read_is_an_alert_and_others_go_on(home: SendHome) -> None:
    os.rename(f"{home.path}/queue/info/7", f"{home.path}/queue/info/gone")

    home.start()

    assert b"alert: unable to opendir info/7, sleeping...\n" in home.log()
    home.inject(b"c@here.example")
    assert home.jobs(1)[0][1].forward_path == b"c@here.example"


def test_a_lost_qmail_clean_ends_it_in_order(home: SendHome) -> None:
    home.start()
    number = home.inject(b"a@here.example")
    home.jobs(1)
    home.lose_cleaner()

    home.report("local", b"\0Kok\n\0")

    assert home.ended() == 0
    assert b"alert: oh no! lost qmail-clean connection! dying...\n" in home.log()
    assert home.log().endswith(b"status: exiting\n")
    assert f"todo/{number}" in home.queued("todo")


def test_a_qmail_clean_that_fails_is_a_warning(home: SendHome) -> None:
    home.start()
    number = home.inject(b"a@here.example")
    home.jobs(1)
    # Only an empty directory can be removed, and that not as a file.
    os.unlink(f"{home.path}/queue/intd/{number}")
    os.mkdir(f"{home.path}/queue/intd/{number}")

    home.report("local", b"\0Kok\n\0")

    home.wait_for_log(
        rb"^warning: qmail-clean unable to clean up (todo|foop)/%d; will try again later$" % number
    )


def test_it_runs_on_the_event_loop_of_the_library_too(
    launchers: str, tmp_path: Path, bounces: QueueStub
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    with open(f"{launchers}/pyqmail", encoding="utf-8") as file:
        text = file.read()
    hidden = text.replace("import os, sys\n", "import os, sys\nsys.modules['uvloop'] = None\n")
    assert hidden != text
    (folder / "pyqmail").write_text(hidden)
    (folder / "pyqmail").chmod(0o755)
    (folder / "qmail-send").symlink_to("pyqmail")
    home = SendHome(tmp_path, str(folder), bounces.path)
    try:
        home.start()
        home.inject(b"a@here.example", b"b@far.example")
        for channel, job in home.jobs(2):
            home.report(channel, bytes([job.slot]) + b"Zlater\n\0")
        home.wait_until(lambda: home.queued("todo") == {})
        home.signal(signal.SIGHUP)
        home.signal(signal.SIGALRM)
        for channel, job in home.jobs(2):
            home.report(channel, bytes([job.slot]) + b"Kok\n\0")
        home.wait_until(lambda: home.queued() == {})
        home.signal(signal.SIGTERM)

        assert home.ended() == 0
        assert home.log().endswith(b"status: exiting\n")
    finally:
        home.let_go()
