"""`qmailctl run`: a whole home, what signals do to it, and what it leaves behind."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.children import NOBODY
from tests.support.private_home import NO_SERVICES, QMAILCTL, PrivateHome, why_not

from pyqmail.send.starting import STANDBY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

KILLED = "qmailctl: qmail-queued was killed by SIGKILL\n"
AGAIN = "qmailctl: starting qmail-queued again\n"


@pytest.fixture
def unstarted() -> Iterator[PrivateHome]:
    with PrivateHome("aku") as home:
        yield home


@pytest.fixture
def home(unstarted: PrivateHome) -> PrivateHome:
    unstarted.start()
    return unstarted


def everything(home: PrivateHome) -> list[int]:
    """Return the processes of a running home, the first of all too."""
    return [home.pid, *home.processes("")]


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_all(home: PrivateHome, pids: list[int]) -> None:
    home.wait(lambda: not any(map(is_alive, pids)), "processes were left behind")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_0_and_nothing_is_left_behind(
    home: PrivateHome, number: signal.Signals
) -> None:
    home.inject(b"to: ann@far.example.net\n\nhello\n")
    home.wait_until_logged("deferral: ")
    pids = everything(home)

    os.kill(home.pid, number)
    home.wait(lambda: not home.runs(), "it did not end")

    assert home.stop() == 0
    assert len(pids) >= 6
    assert not any(map(is_alive, pids))
    assert {path.split("/queue/")[1].split("/")[0] for path in home.queued()} == {
        "info",
        "mess",
        "remote",
    }
    assert "exiting\n" in home.log()


def test_a_signal_before_it_has_begun_ends_it_too(unstarted: PrivateHome) -> None:
    server = unstarted.start_another(unstarted.log_path)
    unstarted.wait(
        lambda: os.path.exists(f"{unstarted.path}/run/qmailctl.lock"), "it did not begin"
    )
    server.terminate()

    assert server.wait(20) in {0, -signal.SIGTERM}
    unstarted.start()  # nothing is in the way
    assert unstarted.stop() == 0


def test_mail_is_accepted_again_after_qmail_queued_died(home: PrivateHome) -> None:
    home.kill("qmail-queued")

    home.wait(lambda: accepts(home), "nothing is accepted any more")
    home.wait(lambda: len(home.mail("aku")) == 1, "the letter did not arrive")

    assert home.log().count(KILLED) == 1
    assert home.stop() == 0


def test_a_qmail_queued_that_dies_often_is_started_as_often_and_no_more(home: PrivateHome) -> None:
    # qmail-start has one in reserve at first, in case the one that serves is just ending.
    time.sleep(STANDBY + 2)
    for number in (1, 2):
        home.kill("qmail-queued")
        home.wait_until_logged(AGAIN, times=number)
        home.wait(lambda: accepts(home), "nothing is accepted any more")
    time.sleep(2.5)  # in which one that finds itself superfluous would be started twice

    assert (home.log().count(KILLED), home.log().count(AGAIN)) == (2, 2)
    assert home.stop() == 0


def accepts(home: PrivateHome) -> bool:
    return home.run("qmail-inject", text=b"to: aku\n\nhello\n").returncode == 0


def test_if_it_is_killed_it_leaves_no_orphans(home: PrivateHome) -> None:
    home.inject(b"to: aku\n\nhello\n")
    home.wait_until_logged("end msg")
    pids = everything(home)

    os.kill(home.pid, signal.SIGKILL)

    wait_for_all(home, pids)
    assert len(pids) >= 7  # a delivery worker too


def test_hup_has_locals_read_again(home: PrivateHome) -> None:
    with open(f"{home.path}/control/locals", "a", encoding="ascii") as file:
        file.write("other.example.org\n")

    os.kill(home.pid, signal.SIGHUP)
    home.wait(lambda: arrives_at_other(home), "locals was not read again")

    assert home.stop() == 0


def arrives_at_other(home: PrivateHome) -> bool:
    home.inject(b"to: aku@other.example.org\n\nhello\n")
    time.sleep(0.2)
    return len(home.mail("aku")) > 0


def test_a_terminal_that_goes_away_stops_it(unstarted: PrivateHome) -> None:
    ours, theirs = pty.openpty()
    with open(unstarted.log_path, "ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", QMAILCTL, "run", "--home", unstarted.path, *NO_SERVICES],
            stdin=theirs,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  one thread
            **unstarted.options(),
        )
    os.close(theirs)
    try:
        unstarted.wait_until_logged("status:")
        os.close(ours)
        code = server.wait(20)
    finally:
        server.terminate()

    assert code == 0
    assert unstarted.log().endswith("exiting\n")


def test_alrm_has_everything_tried_at_once(home: PrivateHome) -> None:
    home.inject(b"to: ann@far.example.net\n\nhello\n")
    home.wait_until_logged("deferral: ")

    os.kill(home.pid, signal.SIGALRM)

    home.wait_until_logged("deferral: ", times=2)
    assert home.runs()


def test_what_keeps_qmail_send_from_starting_is_in_the_log(unstarted: PrivateHome) -> None:
    with open(f"{unstarted.path}/control/queuelifetime", "w", encoding="ascii") as file:
        file.write("a week\n")

    server = unstarted.start_another(unstarted.log_path)

    assert server.wait(20) == 111
    log = unstarted.log()
    assert "alert: cannot start: " in log
    assert "control/queuelifetime line 1: not a number: a week" in log
    assert log.endswith("qmailctl: qmail-send ended with code 111\n")


def test_a_program_that_is_gone_is_named_with_what_to_do(unstarted: PrivateHome) -> None:
    os.unlink(f"{unstarted.path}/bin/qmail-queued")

    server = unstarted.start_another(unstarted.log_path)

    assert server.wait(20) == 111
    assert unstarted.log() == (
        f"qmailctl: fatal: unable to run {unstarted.path}/bin/qmail-queued: "
        "No such file or directory: run qmailctl setup\n"
    )


def test_the_default_delivery_is_what_the_control_file_says(unstarted: PrivateHome) -> None:
    with open(f"{unstarted.path}/control/defaultdelivery", "w", encoding="ascii") as file:
        file.write("./First\n./Second\n")
    unstarted.start()

    unstarted.inject(b"to: postmaster\n\nhello\n")
    unstarted.wait_until_logged("did_2+0+0/")

    assert {"First", "Second"} <= set(os.listdir(f"{unstarted.path}/alias"))


def test_users_programs_see_nothing_of_the_environment_it_was_started_in(
    home: PrivateHome,
) -> None:
    with open(f"{home.path}/home/aku/.qmail", "w", encoding="ascii") as file:
        file.write("|env > environment.new && mv environment.new environment\n")
    path = f"{home.path}/home/aku/environment"

    home.inject(b"to: aku\n\nhello\n")
    home.wait(lambda: os.path.exists(path), "the program did not run")

    with open(path, encoding="utf-8") as file:
        variables = dict(line.rstrip("\n").partition("=")[::2] for line in file)
    assert "PYTHONPATH" not in variables
    assert variables["QMAILHOME"] == home.path
    assert variables["PATH"].split(":")[0] == f"{home.path}/bin"


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, who becomes the owner of a home")
def test_root_runs_a_private_home_as_its_owner(home: PrivateHome) -> None:
    assert home.stop() == 0
    home.options = lambda **_environ: {"cwd": "/"}  # type: ignore[method-assign]

    home.start()

    users = {uid for pid in everything(home) for uid in uids_of(pid)}
    assert users == {NOBODY}
    assert home.stop() == 0


def uids_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/status", encoding="latin-1") as file:
        (line,) = (line for line in file if line.startswith("Uid:"))
    return [int(number) for number in line.split()[1:]]
