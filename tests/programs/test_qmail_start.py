"""qmail-start with all that it starts, and the death of any of it."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

import pytest
from tests.support import accounts
from tests.support.private_home import PrivateHome, command_line, descendants, lives, why_not

from pyqmail.control.roles import roles_of
from pyqmail.queue import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

NEIGHBOURS = ("qmail-lspawn", "qmail-rspawn", "qmail-clean", "qmail-queued")


@pytest.fixture
def home() -> Iterator[PrivateHome]:
    with PrivateHome("aku") as home:
        yield home
        home.kill_all()


def inject(home: PrivateHome, numbers: range) -> None:
    for number in numbers:
        home.inject(b"to: aku\nsubject: letter %d.\n\nhello\n" % number)


def letters(home: PrivateHome) -> set[int]:
    """Return the numbers of the letters that have arrived."""
    subjects = [text.partition(b"\nsubject: letter ")[2] for text in home.mail("aku")]
    return {int(subject.partition(b".")[0]) for subject in subjects if subject}


def test_it_becomes_qmail_send_and_starts_its_neighbours(home: PrivateHome) -> None:
    home.start_alone("./Maildir/")

    assert home.title_of(home.pid).startswith("qmail-send")
    for name in NEIGHBOURS:
        assert home.processes(name), name


def test_term_ends_all_of_them(home: PrivateHome) -> None:
    home.start_alone("./Maildir/")
    inject(home, range(2))
    home.wait_until_empty()
    family = home.family()
    assert len(family) > len(NEIGHBOURS)

    code = home.stop()

    assert code == 0
    home.wait_until_gone(family)


def test_the_log_goes_to_the_logger(home: PrivateHome) -> None:
    path = f"{home.path}/home/logged"
    home.start_alone("./Maildir/", "sh", "-c", f"cat > {path}", waits=False)
    home.wait(lambda: os.path.exists(path) and os.path.getsize(path) > 0, "nothing was logged")

    inject(home, range(1))
    home.wait_until_empty()
    family = home.family()
    home.stop()
    home.wait_until_gone(family)

    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    assert lines[0] == "status: local 0/10 remote 0/20"
    assert lines[-1] == "status: exiting"
    assert home.log() == ""


def test_why_qmail_rspawn_does_not_start_is_in_the_log(home: PrivateHome) -> None:
    path = f"{home.path}/home/logged"
    home.write("control/resolver", "[::1\n")
    home.start_alone("./Maildir/", "sh", "-c", f"cat > {path}", waits=False)
    home.wait(lambda: not home.runs(), "it runs")
    home.wait(lambda: os.path.getsize(path) > 0, "nothing was logged")

    with open(path, encoding="ascii") as file:
        lines = sorted(file.read().splitlines())
    assert lines == [
        "alert: cannot start: hath the daemon spawn no fire?",
        "qmail-rspawn: fatal: control/resolver: no address: [::1",
    ]


def test_the_first_argument_is_the_default_delivery(home: PrivateHome) -> None:
    home.start_alone("./elsewhere")
    home.inject(b"to: postmaster\n\nhello\n")
    home.wait_until_empty()

    with open(f"{home.path}/alias/elsewhere", "rb") as file:
        assert b"\nDelivered-To: postmaster@" in file.read()


def test_without_arguments_the_default_delivery_is_mailbox(home: PrivateHome) -> None:
    home.start_alone()
    home.inject(b"to: postmaster\n\nhello\n")
    home.wait_until_empty()

    with open(f"{home.path}/alias/Mailbox", "rb") as file:
        assert b"\nDelivered-To: postmaster@" in file.read()


def test_a_program_in_the_place_of_ours_is_executed(home: PrivateHome) -> None:
    path = f"{home.path}/bin/qmail-rspawn"
    os.unlink(path)
    with open(path, "w", encoding="ascii") as script:
        # A greeting of 7 slots; what it is told goes where the test can see it.
        script.write(f"#!/bin/sh\nprintf '\\007'\ncat > {home.path}/home/jobs\n")
    os.chmod(path, 0o755)
    home.start_alone("./Maildir/")
    home.wait_until_logged("status: local 0/10 remote 0/7")

    home.inject(b"to: ann@far.example.net\n\nhello\n")
    home.wait_until_logged("to remote ann@far.example.net")

    home.wait(lambda: os.path.getsize(f"{home.path}/home/jobs") > 0, "it was told nothing")
    with open(f"{home.path}/home/jobs", "rb") as file:
        assert file.read().endswith(b"\0aku@mail.example.org\0ann@far.example.net\0")


def test_a_home_that_is_not_there_is_said(home: PrivateHome) -> None:
    answer = home.run("qmail-start", QMAILHOME="/nowhere")

    assert answer.returncode == 111
    assert b"/nowhere" in answer.stderr


@pytest.mark.parametrize("victim", ["qmail-send", "qmail-lspawn", "qmail-rspawn", "qmail-clean"])
def test_a_killed_process_takes_all_with_it_and_a_new_start_loses_no_letter(
    home: PrivateHome, victim: str
) -> None:
    home.start_alone("./Maildir/")
    inject(home, range(8))
    family = home.family()

    (pid,) = home.titled(victim)
    os.kill(pid, signal.SIGKILL)
    if victim == "qmail-clean":
        inject(home, range(8, 9))  # qmail-send misses it when it needs it
    home.wait_until_gone(family)
    inject(home, range(9, 10))
    home.start_alone("./Maildir/")
    home.wait_until_empty()

    assert letters(home) >= {*range(8), 9}


def test_a_killed_qmail_queued_is_started_again(home: PrivateHome) -> None:
    home.start_alone("./Maildir/")
    inject(home, range(1))
    (pid,) = home.titled("qmail-queued")

    os.kill(pid, signal.SIGKILL)
    home.wait(lambda: home.titled("qmail-queued") not in ([], [pid]), "there is no other")
    inject(home, range(1, 3))
    home.wait_until_empty()

    assert letters(home) == {0, 1, 2}
    family = home.family()
    assert home.stop() == 0
    home.wait_until_gone(family)


def test_a_killed_delivery_worker_loses_no_letter(home: PrivateHome) -> None:
    home.start_alone("./Maildir/")
    inject(home, range(5))
    home.wait(lambda: bool(home.workers()), "there is no worker")

    for pid in home.workers():
        os.kill(pid, signal.SIGKILL)
    inject(home, range(5, 10))
    home.wait(lambda: len(home.log().split("starting delivery")) > 10, "not all have begun")
    home.wait_until_logged("status: local 0/10")
    os.kill(home.pid, signal.SIGALRM)  # what crashed waits for its next attempt
    home.wait_until_empty()

    assert letters(home) == set(range(10))


@pytest.mark.root
@pytest.mark.skipif(accounts.why_not() is not None, reason=str(accounts.why_not()))
def test_in_a_system_home_each_process_is_its_own_user(launchers: str, tmp_path: Path) -> None:
    with accounts.accounts(), tempfile.TemporaryDirectory(prefix="system.") as top:
        os.chmod(top, 0o755)
        layout.make_queue(top, roles_of(top))
        os.symlink(launchers, f"{top}/bin")
        os.mkdir(f"{top}/control")
        with open(f"{top}/control/me", "w", encoding="ascii") as file:
            file.write("here.example\n")
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [f"{top}/bin/qmail-start", "#nothing", "sh", "-c", "id -un >&2; exec cat"],
                env={"PATH": f"{top}/bin:{os.defpath}", "QMAILHOME": top},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            users = wait_for_users(process.pid)
            with subprocess.Popen(
                [f"{top}/bin/qmail-inject", "mv1@here.example"],
                env={"QMAILHOME": top, "PATH": os.defpath, "USER": "mv2"},
                stdin=subprocess.PIPE,
                user="mv2",
                group="nogroup",
                extra_groups=[],
            ) as inject:
                inject.communicate(b"hello\n", timeout=30)
            wait_until(lambda: b"end msg" in (tmp_path / "log").read_bytes())
        finally:
            family = [process.pid, *descendants(process.pid)]
            process.terminate()
            code = process.wait(30)
            wait_until(lambda: not any(lives(pid) for pid in family))

        text = (tmp_path / "log").read_bytes()
        sender = b" uid %d\n" % pwd.getpwnam("mv2").pw_uid
    assert users == {
        "qmail-send": "qmails",
        "qmail-lspawn": "root",
        "qmail-rspawn": "qmailr",
        "qmail-clean": "qmailq",
        "qmail-queued": "qmailq",
        "cat": "qmaill",
    }
    assert b" success: " in text
    assert sender in text
    assert code == 0


def wait_for_users(pid: int) -> dict[str, str]:
    """Return who runs each process of the family, once all are there."""
    found: dict[str, str] = {}

    def complete() -> bool:
        found.clear()
        for child in [pid, *descendants(pid)]:
            title = command_line(child).split()[0:1]
            if title and title[0] in (*NEIGHBOURS, "qmail-send", "cat"):
                found[title[0]] = pwd.getpwuid(os.stat(f"/proc/{child}").st_uid).pw_name
        return len(found) == len(NEIGHBOURS) + 2

    wait_until(complete)
    return found


def wait_until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
