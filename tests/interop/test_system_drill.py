"""The compromise drill: each account, and each process, is somebody else's for once.

What it can change is its row of docs/privileges.md, and its neighbours go on.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import chaos, intruder
from tests.support.system_home import PREFIX, SystemHome, why_not

from pyqmail.control.roles import FAMILY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("system home: drill"),
]

LOGS = ["supervise/qmail-send/log/main", "supervise/qmail-smtpd/log/main"]
# Whose what is; a folder stands for its parts. Everything else is nobody's but root's.
MAY_CHANGE = {
    "alias": ["alias"],
    "qmaild": [],
    "qmaill": LOGS,
    "qmailp": [],
    "qmailq": ["queue", "queue/pid", "queue/mess", "queue/intd", "queue/todo", "queue/lock", "run"],
    # The trigger is for everybody who comes there; the original's mode 0622.
    "qmailr": ["queue/lock/tcpto", "queue/lock/trigger"],
    "qmails": [
        *("queue/info", "queue/local", "queue/remote", "queue/bounce"),
        *("queue/lock/sendmutex", "queue/lock/trigger"),
    ],
    "aku": [],
}
# Of a message that waits: mess and todo are for the group qmail, the rest is qmail-send's.
MAY_READ = {
    "qmailq": ["queue/mess", "queue/lock/tcpto"],
    "qmailr": ["queue/mess", "queue/lock/tcpto"],
    "qmails": ["queue/mess", "queue/info", "queue/remote", "queue/lock"],
}
# A greeting of 120 slots, nonsense, and then silence: what has no end is no death.
GARBAGE = r"printf '\170'; head -c 20000 /dev/urandom; exec cat 3>&1 > /dev/null"


@pytest.fixture(scope="module")
def home() -> Iterator[SystemHome]:
    with SystemHome("aku", "dia") as home:
        home.write("control/defaultdelivery", "./Maildir/\n")
        for user in ("aku", "dia"):
            home.as_user(user, "maildirmake", "Maildir")
        yield home
        home.kill_all()


def send(home: SystemHome, number: int, to: str = f"{PREFIX}aku") -> None:
    text = f"subject: letter {number}\nto: x\n\nx\n"
    done = home.run("qmail-inject", to, text=text, user="dia")
    assert done.returncode == 0, done.stderr


def invade(home: SystemHome, role: str, pids: list[int]) -> dict[str, Any]:
    account = home.account(role)
    with open(intruder.__file__, encoding="utf-8") as file:
        source = file.read()
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-IS", "-c", source, home.path, *map(str, pids)],
        check=True,
        capture_output=True,
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[account.pw_gid],
    )
    return json.loads(done.stdout)


def uid_of(pid: int) -> int | None:
    """Return whose process it is, None if it has ended.

    Not who owns its folder in /proc: that is root while a process may not be looked into.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Uid:"))
    return None


def below(path: str, tops: list[str]) -> bool:
    return any(path == top or path.startswith(f"{top}/") for top in tops)


@pytest.mark.parametrize("role", [*FAMILY, "aku"])
def test_who_has_taken_over_an_account_reaches_its_row_of_the_table_only(
    home: SystemHome, role: str
) -> None:
    assert home.run("qmailctl", "start").returncode == 0
    send(home, 1, "ann@far.example.net")  # it waits, so that there is something to read
    home.wait(lambda: bool(chaos.queued(home, "remote")), "it does not wait")
    owners = {pid: uid_of(pid) for pids in home.processes().values() for pid in pids}

    found = invade(home, role, list(owners))

    tops = MAY_CHANGE[role]
    assert [path for path in found["changed"] if not below(path, tops)] == []
    for top in tops:
        assert any(below(path, [top]) for path in found["changed"]), top
    readable = MAY_READ.get(role, [])
    assert [path for path in found["read"] if not below(path, readable)] == []
    uid = home.account(role).pw_uid
    # One that was just being started may have become this user meanwhile.
    assert [pid for pid in found["signalled"] if uid not in (owners[pid], uid_of(pid))] == []

    send(home, 2)
    home.wait(lambda: 2 in chaos.letters_of(home, "aku"), "the others do not go on")
    assert {pid for pid in owners if os.path.exists(f"/proc/{pid}")} >= {
        pid for pid, owner in owners.items() if owner in {0, home.account("qmails").pw_uid}
    }
    clean_up(home)


def clean_up(home: SystemHome) -> None:
    assert home.run("qmailctl", "stop").returncode == 0
    home.wait(lambda: not home.processes(), f"these go on: {home.processes()}")
    empty(home)


def empty(home: SystemHome) -> None:
    for path in chaos.all_queued(home):
        os.unlink(path)
    subprocess.run(["find", home.home_of("aku"), "-type", "f", "-delete"], check=True)


@pytest.mark.parametrize("name", ["qmail-rspawn", "qmail-clean", "qmail-lspawn"])
def test_a_hostile_neighbour_does_not_bring_qmail_send_down(home: SystemHome, name: str) -> None:
    with replaced(home, name, GARBAGE):
        assert home.run("qmailctl", "start").returncode == 0
        home.wait(lambda: name in children(home), "it was not started")
        (send_pid,) = home.processes()["qmail-send"]
        before = os.listdir(home.home_of("dia"))
        send(home, 3)

        if name != "qmail-lspawn":
            home.wait(lambda: 3 in chaos.letters_of(home, "aku"), "nothing is delivered any more")
        else:
            home.wait(lambda: bool(chaos.queued(home, "mess")), "the letter is lost")
        assert home.title_of(send_pid).startswith("qmail-send")
        assert os.listdir(home.home_of("dia")) == before
        home.kill_all()  # a delivery that never ends would be waited for
        empty(home)


def test_a_hostile_qmail_send_gets_nothing_from_its_neighbours(home: SystemHome) -> None:
    jobs = (
        r"for n in 1 3 5; do head -c 5000 /dev/urandom >&$n; "
        r"printf '\000../../../../etc/passwd\000\000root@mail.example.org\000' >&$n; "
        r"printf 'foop/../../control/me\000todo/../../../control/me\000' >&$n; done; exec sleep 60"
    )
    with replaced(home, "qmail-send", jobs):
        before = state_of(home)
        with subprocess.Popen(
            [f"{home.path}/bin/qmail-start", "./Maildir/"],
            env=home.environ(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as start:
            home.wait(lambda: "sleep" in home.processes(), "it does not run")
            spawner = home.processes().get("qmail-lspawn")

            assert spawner
            assert home.processes()["qmail-clean"]
            assert home.processes()["qmail-rspawn"]
            assert state_of(home) == before
            start.kill()
    home.kill_all()


def state_of(home: SystemHome) -> dict[str, float]:
    """Return when each file that is not the queue's was changed."""
    places = [f"{home.path}/control", f"{home.path}/alias", home.home_of("aku"), "/etc/passwd"]
    found = {}
    for place in places:
        for folder, _, names in [*os.walk(place), ("/etc", [], ["passwd"])]:
            found |= {name: os.stat(f"{folder}/{name}").st_mtime for name in names}
    return found


def children(home: SystemHome) -> set[str]:
    """Return which of the scripts in the places of programs run."""
    return {
        os.path.basename(word)
        for pids in home.processes().values()
        for pid in pids
        for word in (*home.title_of(pid).split(" "), argument_zero(pid))
        if word
    }


def argument_zero(pid: int) -> str:
    # `cat`, which the script has become, is known by what stands in its environment.
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = [line for line in file.read().split(b"\0") if line.startswith(b"HOSTILE=")]
    except OSError:
        return ""
    return found[0].partition(b"=")[2].decode() if found else ""


class replaced:  # noqa: N801  used as a context
    """Have a script in the place of a program."""

    def __init__(self, home: SystemHome, name: str, script: str) -> None:
        self._path = f"{home.path}/bin/{name}"
        self._text = f"#!/bin/sh\nexport HOSTILE={name}\n{script}\n"

    def __enter__(self) -> None:
        os.unlink(self._path)
        with open(self._path, "w", encoding="ascii") as file:
            file.write(self._text)
        os.chmod(self._path, 0o755)

    def __exit__(self, *_exception: object) -> None:
        os.unlink(self._path)
        os.symlink("pyqmail", self._path)
