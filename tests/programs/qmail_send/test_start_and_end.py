"""qmail-send as a process: how it starts, why it does not, and how one takes over from another."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest
from tests.support.sending import SendHome

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.queue_stub import QueueStub

pytestmark = pytest.mark.process


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
        running.wait_until_logged(rb"^alert: oh no! lost spawn")
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


def blocks(pid: int, number: int) -> bool:
    """Is this signal blocked in the process?"""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        mask = re.search(r"SigBlk:\s*(\w+)", file.read())
    assert mask is not None
    return bool(int(mask[1], 16) & 1 << (number - 1))


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGHUP])
def test_a_signal_while_it_starts_is_kept_until_it_has(home: SendHome, number: int) -> None:
    home.launch()
    home.wait_until(lambda: blocks(home.pid, number))

    home.signal(number)
    home.greet()

    home.wait_until_logged(rb"^status: ")
    home.inject(b"aku@here.example")
    assert home.jobs(1)[0][1].forward_path == b"aku@here.example"


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


def test_it_waits_until_messages_are_recovered_after_a_boot(home: SendHome) -> None:
    use = f"{home.path}/queue/journal/use"
    with open(use, "wb") as file:
        file.write(b"another-boot 00000000000000000001\n")
    number = home.inject(b"a@here.example")
    home.launch()
    home.greet()
    home.wait_until_logged(
        rb"^alert: waiting until qmail-queued has recovered messages from queue/journal$"
    )
    assert b"status: " not in home.log()

    os.unlink(use)

    home.wait_until_logged(rb"^status: ")
    home.wait_until_logged(b"^new msg %d$" % number)
