"""Readers that others wrote read the mailboxes we write, and later deliveries leave them alone."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.peers import PATIENCE, require, run_in_terminal
from tests.support.private_home import PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.peer,
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

DOVECOT = """\
mail_location = maildir:{folder}/Maildir
base_dir = {top}/dovecot
state_dir = {top}/dovecot
log_path = /dev/stderr
stats_writer_socket_path =
ssl = no
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
first_valid_gid = 1
"""


@pytest.fixture
def home() -> Iterator[PrivateHome]:
    """Give a home that runs, and aku two messages."""
    with PrivateHome("aku") as home:
        home.start()
        send(home, "first")
        send(home, "second")
        yield home


def send(home: PrivateHome, subject: str) -> None:
    """Send aku a message and return when it has come."""
    before = len(home.mail("aku"))
    text = f"From: ann@far.example.net\nTo: aku\nSubject: {subject}\n\n{subject}\nFrom me.\n"
    home.inject(text.encode(), "-fann@far.example.net")
    home.wait(lambda: len(home.mail("aku")) > before, "nothing arrives")


def options(home: PrivateHome, **environ: str) -> dict[str, Any]:
    """Return what makes `subprocess` run a reader as aku."""
    folder = home.home_of("aku")
    made: dict[str, Any] = home.options(
        HOME=folder,
        TERM="xterm",
        LC_ALL="C.UTF-8",
        USER="aku",
        MAILDIR=f"{folder}/Maildir",
        **environ,
    )
    return made | {"cwd": folder}


def names(home: PrivateHome, folder: str) -> list[str]:
    return sorted(os.listdir(f"{home.home_of('aku')}/Maildir/{folder}"))


def doveadm(home: PrivateHome, *arguments: str) -> list[str]:
    """Have Dovecot work on the Maildir; return the lines it prints."""
    program = require("doveadm", "dovecot-core")
    account = home.account
    home.write(
        "dovecot.conf",
        DOVECOT.format(
            folder=home.home_of("aku"), top=home.path, uid=account.pw_uid, gid=account.pw_gid
        ),
    )
    done = subprocess.run(
        [program, "-c", f"{home.path}/dovecot.conf", *arguments],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        **options(home),
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode().splitlines()


def test_dovecot_reads_our_maildir_and_its_flags_survive_our_deliveries(home: PrivateHome) -> None:
    subjects = doveadm(home, "-f", "flow", "fetch", "hdr.subject", "mailbox", "INBOX")
    assert subjects == ["hdr.subject=first", "hdr.subject=second"]

    doveadm(
        home, "flags", "add", "\\Seen \\Flagged", "mailbox", "INBOX", "header", "Subject", "first"
    )
    send(home, "third")

    fields = doveadm(home, "-f", "flow", "fetch", "uid flags hdr.subject", "mailbox", "INBOX")
    assert [field.replace(" \\Recent", "").replace("\\Recent", "") for field in fields] == [
        "uid=1 flags=\\Flagged \\Seen hdr.subject=first",
        "uid=2 flags= hdr.subject=second",
        "uid=3 flags= hdr.subject=third",
    ]
    flags = [name.partition(":")[2] for name in names(home, "new") + names(home, "cur")]
    assert sorted(flags) == ["", "", "2,FS"]


def test_dovecot_moves_and_removes_what_we_delivered(home: PrivateHome) -> None:
    doveadm(home, "mailbox", "create", "Archive")
    doveadm(home, "move", "Archive", "mailbox", "INBOX", "header", "Subject", "first")
    doveadm(home, "expunge", "mailbox", "INBOX", "header", "Subject", "second")
    send(home, "third")

    for mailbox, subject in (("Archive", "first"), ("INBOX", "third")):
        fields = doveadm(home, "-f", "flow", "fetch", "hdr.subject", "mailbox", mailbox)
        assert fields == [f"hdr.subject={subject}"]


def test_dovecot_knows_the_size_of_a_message_from_its_text(home: PrivateHome) -> None:
    (size, *_) = doveadm(home, "-f", "flow", "fetch", "size.physical", "mailbox", "INBOX")

    sizes = {f"size.physical={len(text)}" for text in home.mail("aku")}
    folder = f"{home.home_of('aku')}/Maildir/cur"
    sizes |= {f"size.physical={os.path.getsize(f'{folder}/{name}')}" for name in names(home, "cur")}
    assert size in sizes


def test_mutt_reads_our_maildir_and_its_flags_survive_our_deliveries(home: PrivateHome) -> None:
    mutt = [
        require("mutt", "mutt"),
        "-n",
        "-F",
        "/dev/null",
        "-f",
        f"{home.home_of('aku')}/Maildir",
    ]
    set_up = "set folder=~ sort=subject quit=yes wait_key=no mark_old=no pager_stop=yes"
    keys = "push '<first-entry><flag-message><first-entry><display-message><exit><quit>'"

    code, shown = run_in_terminal([*mutt, "-e", set_up, "-e", keys], options(home))

    assert code == 0, shown
    assert b"first" in shown
    assert b"second" in shown
    (read,) = names(home, "cur")
    assert read.endswith(":2,FS")
    send(home, "third")
    assert names(home, "cur") == [read]
    assert len(names(home, "new")) == 2


def test_alpine_reads_after_pinq_what_we_delivered(home: PrivateHome) -> None:
    put_into_path(home, "pine", require("alpine", "alpine"))
    folder = home.home_of("aku")
    environ = {"MAIL": f"{folder}/Mailbox", "MAILTMP": f"{folder}/Mailbox.tmp"}
    let_the_second_end()
    pinq = [f"{home.path}/bin/pinq", "-p", pine_settings(home), "-f", f"{folder}/Mailbox"]

    code, shown = run_in_terminal(pinq, options(home, **environ), b"ivq")

    assert code == 0, shown
    assert b"From me." in shown
    assert names(home, "new") == names(home, "cur") == []
    text = mailbox_text(home)
    assert (text.count(b"\nSubject: first\n"), text.count(b"\nSubject: second\n")) == (1, 1)
    assert b"\n>From me.\n" in text


def test_alpine_reads_our_mbox_directly_and_later_deliveries_are_added(home: PrivateHome) -> None:
    alpine = require("alpine", "alpine")
    home.write("home/aku/.qmail", "./Mailbox\n")
    for subject in ("third", "fourth"):
        home.inject(f"To: aku\nSubject: {subject}\n\n{subject}\n".encode())
    home.wait_until_empty()
    argv = [alpine, "-p", pine_settings(home), "-f", f"{home.home_of('aku')}/Mailbox"]

    code, shown = run_in_terminal(argv, options(home), b"ivq")
    home.inject(b"To: aku\nSubject: fifth\n\nfifth\n")
    home.wait_until_empty()

    assert code == 0, shown
    assert b"third" in shown
    text = mailbox_text(home)
    assert text.count(b"\nStatus: RO\n") == 1
    assert text.index(b"\nSubject: third\n") < text.index(b"\nSubject: fourth\n")
    assert text.endswith(b"Subject: fifth\n\nfifth\n\n")


def test_mail_reads_after_qail_what_we_delivered(home: PrivateHome) -> None:
    put_into_path(home, "Mail", require("s-nail", "s-nail"))
    folder = home.home_of("aku")
    environ = {"MAIL": f"{folder}/Mailbox", "MAILTMP": f"{folder}/Mailbox.tmp"}
    let_the_second_end()
    argv = [f"{home.path}/bin/qail", "-:/", "-H", "-f", f"{folder}/Mailbox"]

    done = subprocess.run(
        argv, capture_output=True, timeout=PATIENCE, check=True, **options(home, **environ)
    )

    assert b"first" in done.stdout
    assert b"second" in done.stdout
    assert names(home, "new") == []


def let_the_second_end() -> None:
    """Return when no message is of the current second: those maildir2mbox leaves for later."""
    time.sleep(1 - time.time() % 1)


def put_into_path(home: PrivateHome, name: str, program: str) -> None:
    """Let `name` be found first where the programs of the home look."""
    os.symlink(program, f"{home.path}/bin/{name}")


def pine_settings(home: PrivateHome) -> str:
    """Return the path of settings that let alpine ask nothing."""
    os.mkdir(f"{home.home_of('aku')}/mail", 0o700)
    if os.getuid() == 0:
        os.chown(f"{home.home_of('aku')}/mail", home.account.pw_uid, home.account.pw_gid)
    home.write(
        "home/aku/.pinerc",
        "user-domain=mail.example.org\nlast-version-used=6.26\n"
        "feature-list=quit-without-confirm,no-expunge-without-confirm\n",
    )
    return f"{home.home_of('aku')}/.pinerc"


def mailbox_text(home: PrivateHome) -> bytes:
    with open(f"{home.home_of('aku')}/Mailbox", "rb") as file:
        return file.read()
