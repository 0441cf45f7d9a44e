"""Programs that others wrote to stand in `.qmail` do there what their users want of them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.support.peers import PATIENCE, require
from tests.support.private_home import PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.peer,
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

SPAM = b"From: ann@far.example.net\nTo: kamu\nSubject: a bargain\n\nBuy!\n"
LETTER = b"From: ann@far.example.net\nTo: kamu\nSubject: hello\n\nFrom me.\n"

PROCMAIL = """\
SHELL=/bin/sh
DEFAULT={home}/Maildir/
:0
* ^Subject:.*bargain
{{
  EXITCODE={code}
  HOST
}}
:0 c
! aku@mail.example.org
:0 :
* ^Subject: mbox
{home}/procmail.mbox
"""
MAILDROP = """\
SHELL="/bin/sh"
SENDMAIL="{bin}/sendmail"
if (/^Subject:.*bargain/)
{{
    EXITCODE={code}
    exit
}}
cc "!aku@mail.example.org"
to "{home}/Maildir"
"""


@pytest.fixture
def home() -> Iterator[PrivateHome]:
    """Give a home with the users aku and kamu that runs."""
    with PrivateHome("aku", "kamu") as home:
        home.start()
        yield home


def let_procmail_sort(home: PrivateHome, code: int = 100) -> None:
    procmail = require("procmail", "procmail")
    folder = home.home_of("kamu")
    home.write("home/kamu/.procmailrc", PROCMAIL.format(home=folder, code=code))
    home.write(
        "home/kamu/.qmail",
        f"|preline {procmail} -p SENDMAIL={home.path}/bin/sendmail {folder}/.procmailrc\n",
    )


def let_maildrop_sort(home: PrivateHome, code: int = 100) -> None:
    maildrop = require("maildrop", "maildrop")
    folder = home.home_of("kamu")
    rules = MAILDROP.format(home=folder, bin=f"{home.path}/bin", code=code)
    home.write("home/kamu/.mailfilter", rules)
    home.write("home/kamu/.qmail", f"|preline -f {maildrop} {folder}/.mailfilter\n")


SORTERS = pytest.mark.parametrize("let_sort", [let_procmail_sort, let_maildrop_sort])


@SORTERS
def test_a_sorter_gets_the_whole_message_and_can_deliver_and_forward_it(
    home: PrivateHome, let_sort: Callable[..., None]
) -> None:
    let_sort(home)

    home.inject(LETTER, "-fann@far.example.net", "kamu")
    home.wait_until_logged("end msg", times=2)

    (message,) = home.mail("kamu")
    lines = message.splitlines(keepends=True)
    assert lines[:2] == [
        b"Return-Path: <ann@far.example.net>\n",
        b"Delivered-To: kamu@mail.example.org\n",
    ]
    assert message.endswith(b"Subject: hello\n\nFrom me.\n")
    (copy,) = home.mail("aku")
    assert b"\nDelivered-To: kamu@mail.example.org\n" in copy
    assert b"Subject: hello\n\nFrom me.\n" in copy  # procmail adds an empty line


@SORTERS
def test_a_sorter_can_bounce_a_message(home: PrivateHome, let_sort: Callable[..., None]) -> None:
    let_sort(home)

    home.inject(SPAM, "-faku@mail.example.org", "kamu")
    home.wait_until_logged("end msg", times=2)

    (bounce,) = home.mail("aku")
    assert b"<kamu@mail.example.org>:\n" in bounce
    assert home.mail("kamu") == []


@SORTERS
def test_a_sorter_can_leave_a_message_in_the_queue(
    home: PrivateHome, let_sort: Callable[..., None]
) -> None:
    let_sort(home, 75)  # EX_TEMPFAIL

    home.inject(SPAM, "-faku@mail.example.org", "kamu")
    home.wait_until_logged("deferral: ")

    assert home.mail("kamu") == home.mail("aku") == []
    assert home.queued()


def test_procmail_appends_to_an_mbox_what_readers_take_apart(home: PrivateHome) -> None:
    let_procmail_sort(home)

    for _ in range(2):
        home.inject(LETTER.replace(b"hello", b"mbox"), "-fann@far.example.net", "kamu")
    home.wait_until_logged("end msg", times=4)

    with open(f"{home.home_of('kamu')}/procmail.mbox", "rb") as file:
        text = file.read()
    assert text.startswith(b"From ann@far.example.net ")
    assert text.count(b"\nSubject: mbox\n") == 2
    assert home.mail("kamu") == []


@pytest.mark.root
def test_vacation_answers_once_and_answers_no_bounce(home: PrivateHome) -> None:
    deliver = away(home)
    letter = b"From: aku@mail.example.org\nTo: kamu@mail.example.org\nSubject: hello\n\nHi.\n"

    for sender in ("aku@mail.example.org", "aku@mail.example.org", ""):
        deliver(letter, sender)
    home.wait_until_logged("end msg")
    home.wait_until_empty()

    (answer,) = home.mail("aku")
    assert b"\nSubject: away from my mail\n" in answer
    assert answer.endswith(b"\n\nBack on Monday.\n")
    assert len(home.mail("kamu")) == 3


def away(home: PrivateHome) -> Callable[[bytes, str], None]:
    """Let vacation answer for kamu; return what delivers a message to him.

    vacation looks for its user's home in /etc/passwd and for /usr/sbin/sendmail. A mount
    namespace of the delivery gives it both, and the machine stays as it is.
    """
    if os.getuid() != 0:
        pytest.skip("needs root, to show vacation a /usr/sbin/sendmail")
    vacation = require("vacation", "vacation")
    unshare = require("unshare", "util-linux")
    folder = home.home_of("kamu")
    nobody = home.account
    home.write("passwd", f"kamu:x:{nobody.pw_uid}:{nobody.pw_gid}::{folder}:/bin/sh\n")
    os.chmod(f"{home.path}/passwd", 0o644)
    os.mkdir(f"{home.path}/sbin")
    os.symlink(f"{home.path}/bin/sendmail", f"{home.path}/sbin/sendmail")
    home.write("home/kamu/.vacation.msg", "Subject: away from my mail\n\nBack on Monday.\n")
    home.write("home/kamu/.qmail", f"./Maildir/\n|preline {vacation} kamu\n")
    script = (
        f"mount --bind {home.path}/passwd /etc/passwd"
        f" && mount --bind {home.path}/sbin /usr/sbin"
        f" && exec setpriv --reuid={nobody.pw_uid} --regid={nobody.pw_gid} --clear-groups"
        f' {home.path}/bin/qmail-local kamu {folder} kamu "" "" mail.example.org "$1" ./Maildir/'
    )

    def deliver(message: bytes, sender: str) -> None:
        path = f"{home.top}/letter"
        with open(path, "wb") as file:
            file.write(message)
        options = home.options()
        for name in ("user", "group", "extra_groups"):
            del options[name]
        with open(path, "rb") as opened:
            done = subprocess.run(
                [unshare, "--mount", "/bin/sh", "-c", script, "sh", sender],
                stdin=opened,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
                **options,
            )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()

    return deliver
