"""`qmailctl migrate spool`, as root, for users of the machine."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import stat
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.system_home import PREFIX, SystemHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("system home: spool"),
]

AKU, DIA = f"{PREFIX}aku", f"{PREFIX}dia"
MBOX = "From ann@example.org Sat Jan 03 04:05:06 2025\nSubject: 1\n\nhalo\n\n"


@pytest.fixture(scope="module")
def home() -> Iterator[SystemHome]:
    with SystemHome("aku", "dia") as home:
        yield home


@pytest.fixture
def spool(home: SystemHome) -> Iterator[str]:
    path = f"{home.top}/spool"
    os.mkdir(path)
    os.chown(path, 0, 8)
    os.chmod(path, 0o2775)
    for name in (AKU, DIA):
        with open(f"{path}/{name}", "w", encoding="ascii") as file:
            file.write(MBOX)
        entry = home.account(name.removeprefix(PREFIX))
        os.chown(f"{path}/{name}", entry.pw_uid, 8)
        os.chmod(f"{path}/{name}", 0o660)
    yield path
    subprocess.run(["rm", "-rf", path], check=True)
    for name in ("aku", "dia"):
        subprocess.run(["rm", "-rf", *(f"{home.home_of(name)}/{box}" for box in BOXES)], check=True)


BOXES = ("Mailbox", "Mailbox.before-move", "Maildir")


def migrate(home: SystemHome, spool: str, *arguments: str) -> tuple[int, list[str], str]:
    done = home.run("qmailctl", "migrate", "spool", "--spool", spool, *arguments)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr


def read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_mailboxes_come_home_and_leave_links(home: SystemHome, spool: str) -> None:
    code, lines, errors = migrate(home, spool)

    assert (code, errors) == (0, "")
    assert lines == [
        f"moved {spool}/{name} to {home.home_of(name.removeprefix(PREFIX))}/Mailbox"
        for name in (AKU, DIA)
    ]
    target = f"{home.home_of('aku')}/Mailbox"
    assert os.readlink(f"{spool}/{AKU}") == target
    assert read(target) == MBOX
    assert (os.stat(target).st_uid, mode_of(target)) == (home.account("aku").pw_uid, 0o600)
    assert mode_of(spool) == 0o1777
    assert sorted(os.listdir(home.home_of("aku"))) == sorted(
        {*os.listdir(home.home_of("dia"))} | {"Mailbox"}
    )


def test_undo_puts_all_back(home: SystemHome, spool: str) -> None:
    migrate(home, spool)
    with open(f"{spool}/{AKU}", "a", encoding="ascii") as mailbox:
        mailbox.write(MBOX)  # a letter that came meanwhile

    code, lines, _ = migrate(home, spool, "--undo")

    assert (code, len(lines)) == (0, 2)
    assert not os.path.islink(f"{spool}/{AKU}")
    assert read(f"{spool}/{AKU}") == MBOX * 2
    assert os.stat(f"{spool}/{AKU}").st_uid == home.account("aku").pw_uid
    assert (os.stat(f"{spool}/{AKU}").st_gid, mode_of(f"{spool}/{AKU}")) == (8, 0o660)
    assert read(f"{home.home_of('aku')}/Mailbox") == ""
    assert mode_of(spool) == 0o2775
    assert sorted(os.listdir(spool)) == [AKU, DIA]


def test_mail_can_go_to_maildirs(home: SystemHome, spool: str) -> None:
    code, _, _ = migrate(home, spool, "--to", "Maildir", "--user", AKU)

    maildir = f"{home.home_of('aku')}/Maildir"
    (name,) = os.listdir(f"{maildir}/new")
    assert code == 0
    assert read(f"{maildir}/new/{name}") == "Subject: 1\n\nhalo\n"
    assert os.stat(f"{maildir}/new/{name}").st_uid == home.account("aku").pw_uid
    assert os.readlink(f"{spool}/{AKU}") == maildir
    assert not os.path.islink(f"{spool}/{DIA}")

    assert migrate(home, spool, "--undo")[0] == 0
    assert read(f"{spool}/{AKU}").partition("\n")[2] == MBOX.partition("\n")[2]


def test_a_dry_run_only_says_what_it_would_do(home: SystemHome, spool: str) -> None:
    code, lines, _ = migrate(home, spool, "--dry-run")

    assert code == 0
    assert lines[0] == f"would move {spool}/{AKU} to {home.home_of('aku')}/Mailbox"
    assert not os.path.islink(f"{spool}/{AKU}")
    assert not os.path.exists(f"{home.home_of('aku')}/Mailbox")
    assert mode_of(spool) == 0o2775


def test_what_cannot_be_moved_is_named_and_stays(home: SystemHome, spool: str) -> None:
    with open(f"{spool}/nobody-here", "w", encoding="ascii") as file:
        file.write(MBOX)
    with open(f"{spool}/root", "w", encoding="ascii") as file:
        file.write(MBOX)
    os.unlink(f"{spool}/{DIA}")
    os.symlink("/etc/shadow", f"{spool}/{DIA}")

    code, lines, _ = migrate(home, spool)

    assert code == 0
    assert f"{DIA} stays: is a link already" in lines
    assert "nobody-here stays: there is no such user" in lines
    assert "root stays: root gets no mail: an alias names who reads it" in lines


def test_a_link_in_the_home_of_a_user_leads_root_nowhere(home: SystemHome, spool: str) -> None:
    victim = f"{home.top}/victim"
    with open(victim, "w", encoding="ascii") as file:
        file.write("root's own\n")
    os.chmod(victim, 0o600)
    os.symlink(victim, f"{home.home_of('aku')}/Mailbox")

    code, _, errors = migrate(home, spool)

    assert (code, f"{AKU} is not moved: " in errors) == (100, True)
    assert read(victim) == "root's own\n"
    assert read(f"{spool}/{AKU}") == MBOX


def test_who_holds_a_lock_is_waited_for(home: SystemHome, spool: str) -> None:
    holder = os.open(f"{spool}/{AKU}", os.O_RDWR)
    fcntl.lockf(holder, fcntl.LOCK_EX)
    with subprocess.Popen(
        [f"{home.path}/bin/qmailctl", "migrate", "spool", "--spool", spool, "--user", AKU],
        env=home.environ(),
    ) as moving:
        home.wait(lambda: os.path.exists(f"{spool}/{AKU}.lock"), "it does not even begin")
        time.sleep(0.3)
        assert not os.path.islink(f"{spool}/{AKU}")
        os.close(holder)

        assert moving.wait(30) == 0
    assert os.path.islink(f"{spool}/{AKU}")


def test_only_root_moves_the_mail_of_others(home: SystemHome, spool: str) -> None:
    done = home.run("qmailctl", "migrate", "spool", "--spool", spool, user="aku")

    assert (done.returncode, "moved by root" in done.stderr) == (100, True)


def test_on_a_terminal_a_bar_shows_how_far_it_is(home: SystemHome, spool: str) -> None:
    argv = [f"{home.path}/bin/qmailctl", "migrate", "spool", "--spool", spool]
    ours, its = pty.openpty()
    environ = home.environ(TERM="xterm", COLUMNS="80")
    with subprocess.Popen(
        argv, env=environ, stdin=its, stdout=subprocess.PIPE, stderr=its, cwd="/"
    ) as process:
        os.close(its)
        shown = read_terminal(ours)
        assert process.stdout is not None  # it is a pipe
        lines = process.stdout.read().decode().splitlines()

    assert process.returncode == 0
    assert [line.split()[0] for line in lines] == ["moved", "moved"]  # only these: for scripts
    assert "Moving" in shown
    assert re.findall(r"(\d+)%", shown)[-1] == "100"


def read_terminal(descriptor: int) -> str:
    """Return all that is shown, without what moves and colours it."""
    shown = b""
    try:
        while data := os.read(descriptor, 65536):
            shown += data
    except OSError:
        pass  # nobody has the other end any more
    os.close(descriptor)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
