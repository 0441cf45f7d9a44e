"""A whole private home, from setup to the last bounce, and whatever may happen to it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest
from tests.support.private_home import PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

DAEMONS = ("qmail-queued", "qmail-send", "qmail-lspawn", "qmail-rspawn", "qmail-clean")


@pytest.fixture
def home() -> Iterator[PrivateHome]:
    """Give a home with the users aku and kamu that runs."""
    with PrivateHome("aku", "kamu") as home:
        home.start()
        yield home


def letter(number: int, to: str = "aku") -> bytes:
    return b"to: %s\nsubject: letter %d.\n\nhello\n" % (to.encode(), number)


def test_a_letter_arrives_in_the_maildir_of_its_user(home: PrivateHome) -> None:
    home.inject(b"to: aku\n\nhello\n")
    home.wait_until_logged("end msg")

    (message,) = home.mail("aku")

    assert message.startswith(
        b"Return-Path: <aku@mail.example.org>\nDelivered-To: aku@mail.example.org\n"
    )
    assert message.endswith(b"to: aku@mail.example.org\n\nhello\n")
    home.wait_until_empty()


def test_an_unknown_user_comes_back_to_the_sender(home: PrivateHome) -> None:
    home.inject(b"to: sembarangan\n")
    home.wait_until_logged("end msg", times=2)

    (bounce,) = home.mail("aku")

    assert (
        b"<sembarangan@mail.example.org>:\nSorry, no mailbox here by that name. (#5.1.1)\n"
        in bounce
    )
    home.wait_until_empty()


def test_root_and_postmaster_are_mail_of_the_home(home: PrivateHome) -> None:
    home.inject(b"to: postmaster, root\n\nhello\n")
    home.wait_until_logged("end msg")

    with open(f"{home.path}/alias/Mailbox", "rb") as file:
        entries = file.read()

    assert entries.count(b"\nDelivered-To: postmaster@mail.example.org\n") == 1
    assert entries.count(b"\nDelivered-To: root@mail.example.org\n") == 1


def test_a_remote_recipient_waits_and_the_log_says_why(home: PrivateHome) -> None:
    home.inject(b"to: ann@far.example.net\n\nhello\n")
    home.wait_until_logged("deferral: ")

    assert re.search(r"starting delivery \d+: msg \d+ to remote ann@far.example.net\n", home.log())
    assert [path for path in home.queued() if "/remote/" in path]


def test_term_stops_the_home_and_the_queue_is_settled(home: PrivateHome) -> None:
    home.inject(b"to: ann@far.example.net\n\nhello\n")
    home.wait_until_logged("deferral: ")

    assert home.stop() == 0

    kinds = sorted(re.search(r"/queue/(\w+)/", path)[1] for path in home.queued())
    assert kinds == ["info", "mess", "remote"]


def test_what_waits_when_the_home_stops_is_delivered_after_the_next_start(
    home: PrivateHome,
) -> None:
    assert home.stop() == 0
    home.inject(b"to: aku\n\nhello\n")
    assert home.mail("aku") == []

    home.start()
    home.wait_until_logged("end msg")

    assert len(home.mail("aku")) == 1


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_daemon_that_is_killed_loses_no_letter(home: PrivateHome, daemon: str) -> None:
    for number in range(10):
        home.inject(letter(number))
    home.kill(daemon)
    accepted = [*range(10), *(number for number in range(10, 20) if offers(home, number))]
    if daemon != "qmail-queued":
        home.wait(lambda: not home.runs(), f"the home outlived its {daemon}")
    if not home.runs():
        home.start()
    home.inject(letter(99))
    home.wait_until_empty()

    mail = home.mail("aku")
    for number in [*accepted, 99]:
        assert [text for text in mail if b"\nsubject: letter %d.\n" % number in text]


def offers(home: PrivateHome, number: int) -> bool:
    """Offer a letter to a home that may be on its way down; say whether it was accepted."""
    return home.run("qmail-inject", text=letter(number)).returncode == 0


def test_everything_killed_at_once_loses_no_letter(home: PrivateHome) -> None:
    for number in range(10):
        home.inject(letter(number))
    for pid in [pid for daemon in DAEMONS for pid in home.processes(daemon)]:
        with contextlib.suppress(ProcessLookupError):  # some end as soon as another is gone
            os.kill(pid, signal.SIGKILL)
    home.wait(lambda: not home.runs() or not home.processes("qmail-send"), "qmail-send lives")
    if home.runs():
        home.stop()

    home.start()
    home.wait_until_empty()

    mail = home.mail("aku")
    for number in range(10):
        assert [text for text in mail if b"\nsubject: letter %d.\n" % number in text]


def test_a_second_server_on_one_home_says_so_and_ends(home: PrivateHome) -> None:
    second = home.start_another(f"{home.top}/second")

    code = second.wait(20)

    with open(f"{home.top}/second", encoding="utf-8") as file:
        said = file.read()
    assert code == 111
    assert "running" in said
    assert home.runs()


def test_a_second_qmail_send_on_one_home_says_so_and_ends(home: PrivateHome) -> None:
    answer = home.run("qmail-start", "./Mailbox")

    assert answer.returncode == 111
    assert b"cannot start: qmail-send is already running\n" in answer.stdout + answer.stderr
    assert home.runs()


@pytest.mark.parametrize("kind", ["todo", "info", "remote", "mess"])
def test_a_damaged_file_of_the_queue_stops_nothing_else(kind: str) -> None:
    with PrivateHome("aku") as home:
        home.start()
        home.inject(b"to: ann@far.example.net\n\nhello\n")
        home.wait_until_logged("deferral: ")
        home.stop()
        damage(home, kind)
        written = len(home.log())

        home.start()
        os.kill(home.pid, signal.SIGALRM)  # else it waits for the time of the next attempt
        home.wait(lambda: re.search("alert|warning", home.log()[written:]), "nobody said anything")
        home.inject(b"to: aku\n\nhello\n")
        home.wait(lambda: len(home.mail("aku")) == 1, "the next letter did not arrive")

        assert home.stop() == 0


def damage(home: PrivateHome, kind: str) -> None:
    """Put something into the queue that should not be there."""
    if kind == "todo":
        path = f"{home.path}/queue/todo/4711"
        with open(path, "wb") as file:
            file.write(b"this is no envelope")
        os.chown(path, home.account.pw_uid, home.account.pw_gid)
        return
    (path,) = (path for path in home.queued() if f"/queue/{kind}/" in path)
    if kind == "mess":
        os.unlink(path)
        os.mkdir(path)
    else:
        with open(path, "wb") as file:
            file.write(b"\xff\0rubbish")


@pytest.fixture
def small_disk() -> Iterator[str]:
    """Give a folder on a disk of 4 MB."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    folder = tempfile.mkdtemp(prefix="small-disk.")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode != 0:
        os.rmdir(folder)
        pytest.skip("this machine lets nobody mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        os.rmdir(folder)


@pytest.mark.root
def test_a_full_disk_is_a_temporary_failure_and_leaves_nothing_behind(small_disk: str) -> None:
    with PrivateHome("aku", folder=f"{small_disk}/home") as home:
        home.start()
        answer = home.run(
            "qmail-inject", text=b"to: aku\n\n" + b"too much for this disk\n" * 400_000
        )
        assert answer.returncode == 111
        assert b"qq write error or disk full (#4.3.0)" in answer.stderr
        home.wait_until_empty()

        home.inject(b"to: aku\n\nhello\n")
        home.wait(lambda: len(home.mail("aku")) == 1, os.strerror(errno.ENOSPC))

        assert home.stop() == 0
