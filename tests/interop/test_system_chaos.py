"""Users of the machine get all their mail, whatever dies; a queue of the original is taken over.

`bench/chaos.py` does the same for longer, with more of everything.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from tests.support import chaos, hanging
from tests.support.system_home import PREFIX, SystemHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS = [f"u{number}" for number in range(6)]
LETTERS = 300
KILLS = 10
DAYS = 86400
OLD = 3 * DAYS  # older than what nobody can still be writing

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("system home: chaos"),
]


@pytest.fixture
def home() -> Iterator[SystemHome]:
    with SystemHome(*USERS) as home:
        home.write("control/defaultdelivery", "./Maildir/\n")
        for user in USERS:
            home.as_user(user, "maildirmake", "Maildir")
        yield home


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("svscan") is None, reason="needs daemontools")
def test_whatever_is_killed_each_accepted_letter_arrives_where_it_belongs(
    home: SystemHome,
) -> None:
    chance = random.Random(7)
    with chaos.supervised(home):
        load = chaos.Load(home, [PREFIX + user for user in USERS], LETTERS)
        load.start()
        killed = []
        for _ in range(KILLS):
            killed.append(chaos.kill_at_random(home, chance))
            time.sleep(0.4)
        load.wait()
        chaos.settle(home)

        assert any(killed)
        for user in USERS:
            found = set(chaos.letters_of(home, user))
            sent = {number for number, to in load.accepted.items() if to == PREFIX + user}
            assert sent <= found, user
            assert found <= {number for number in range(LETTERS) if sent_to(number) == user}
        assert len(load.accepted) == LETTERS

    # What is left was never accepted: it goes when nobody can be writing it any more.
    for path in chaos.all_queued(home):
        os.utime(path, (time.time() - OLD, time.time() - OLD))
    with_rest(home)


def test_whenever_all_is_killed_every_message_is_in_a_state_that_the_original_knows(
    home: SystemHome,
) -> None:
    chance = random.Random(11)
    users = [PREFIX + user for user in USERS]
    seen = set()
    for _ in range(3):
        assert home.run("qmailctl", "start").returncode == 0
        load = chaos.Load(home, [*users, "nobody-here", "ann@far.example.net"], 60)
        load.start()
        time.sleep(chance.uniform(0.02, 0.5))
        home.kill_all()

        found = chaos.states(home)
        for number, folders in found.items():
            assert chaos.is_allowed(folders), (number, folders)
            for path in chaos.queued(home, "mess"):
                assert os.stat(path).st_ino == int(os.path.basename(path))
        seen |= {frozenset(folders) for folders in found.values()}

        assert home.run("qmailctl", "start").returncode == 0
        load.wait()  # whoever was refused has tried again
        assert home.run("qmailctl", "stop").returncode == 0
    assert len(seen) > 1
    assert not any(chaos.is_allowed(folders) for folders in ({"info"}, {"mess", "local"}))


def test_a_queue_of_the_original_is_taken_over_in_place_with_its_retry_times(
    home: SystemHome,
) -> None:
    """The queue is as the original leaves it after a clean stop; qmail-send(8)."""
    user, now = PREFIX + USERS[0], int(time.time())
    due, later = now - 100, now + 5000
    lay_message(home, 25, [b"T" + user.encode()], "local", due)
    lay_message(home, 27, [b"Tann@far.example.net", b"Dbob@far.example.net"], "remote", later)
    lay_new_message(home, 29, user.encode())

    done = home.setup()
    assert (done.returncode, done.stderr) == (0, "")
    assert home.run("qmailctl", "start").returncode == 0
    home.wait(lambda: len(chaos.letters_of(home, USERS[0])) == 2, "the letters do not come")
    home.wait(lambda: len(chaos.queued(home, "mess")) == 1, "more waits than should")
    listed = home.run("qmailctl", "queue", "list").stdout
    assert home.run("qmailctl", "stop").returncode == 0

    assert sorted(chaos.letters_of(home, USERS[0])) == [25, 29]
    assert listed.split("\t")[0] == "27"
    path = f"{home.path}/queue/remote/{27 % 23}/27"
    assert int(os.stat(path).st_mtime) == later
    with open(path, "rb") as file:
        assert file.read() == b"Tann@far.example.net\0Dbob@far.example.net\0"


def lay(home: SystemHome, name: str, text: bytes, role: str, times: int) -> None:
    path = f"{home.path}/queue/{name}"
    with open(path, "wb") as file:
        file.write(text)
    os.chmod(path, 0o600 if role == "qmails" else 0o644)
    os.utime(path, (times, times))
    os.chown(path, home.account(role).pw_uid, home.account(role).pw_gid)


def lay_message(home: SystemHome, number: int, to: list[bytes], channel: str, when: int) -> None:
    """Put a message into the queue that the original has preprocessed."""
    part, now = number % 23, int(time.time()) - 1000
    lay(home, f"mess/{part}/{number}", b"subject: letter %d\n\nx\n" % number, "qmailq", now)
    lay(home, f"info/{part}/{number}", b"F\0", "qmails", now)
    recipients = b"".join(address + b"@mail.example.org\0" for address in to)
    if channel == "remote":
        recipients = b"".join(address + b"\0" for address in to)
    lay(home, f"{channel}/{part}/{number}", recipients, "qmails", when)


def lay_new_message(home: SystemHome, number: int, to: bytes) -> None:
    """Put a message into the queue that qmail-queue has accepted, and qmail-send has not seen."""
    now = int(time.time())
    lay(home, f"mess/{number % 23}/{number}", b"subject: letter %d\n\nx\n" % number, "qmailq", now)
    envelope = b"u1000\0p4711\0F\0T" + to + b"@mail.example.org\0"
    lay(home, f"intd/{number}", envelope, "qmailq", now)
    os.link(f"{home.path}/queue/intd/{number}", f"{home.path}/queue/todo/{number}")


def test_what_hangs_in_the_home_of_one_user_delays_nobody_else(home: SystemHome) -> None:
    slow, quick = USERS[0], USERS[1]
    folder = home.home_of(slow)
    for name, text in ((".qmail", b"|cat gate; cat > got\n"), (".qmail-pipe", None)):
        if text is None:
            os.mkfifo(f"{folder}/{name}")
        else:
            with open(f"{folder}/{name}", "wb") as file:
                file.write(text)
        os.chown(f"{folder}/{name}", home.account(slow).pw_uid, -1)
    os.mkfifo(f"{folder}/gate")
    os.chown(f"{folder}/gate", home.account(slow).pw_uid, -1)
    assert home.run("qmailctl", "start").returncode == 0

    for address in (slow, f"{slow}-pipe", quick):
        text = "subject: letter 1\n\nx\n"
        assert home.run("qmail-inject", PREFIX + address, text=text, user=quick).returncode == 0

    home.wait(lambda: 1 in chaos.letters_of(home, quick), "the other user waits")
    assert not os.path.exists(f"{folder}/got")
    with open(f"{folder}/gate", "wb"):
        pass
    home.wait(lambda: os.path.exists(f"{folder}/got"), "it never came")
    assert home.run("qmailctl", "stop").returncode == 0


def sent_to(number: int) -> str:
    return USERS[number % len(USERS)]


def with_rest(home: SystemHome) -> None:
    """Start once more, and return when the queue is empty."""
    assert home.run("qmailctl", "start").returncode == 0
    home.wait(lambda: not chaos.all_queued(home), f"left: {chaos.all_queued(home)}")
    assert home.run("qmailctl", "stop").returncode == 0


@pytest.mark.skipif(hanging.why_not() is not None, reason=str(hanging.why_not()))
def test_a_home_on_a_file_system_that_hangs_delays_its_user_only(home: SystemHome) -> None:
    slow, quick = USERS[0], USERS[1]
    assert home.run("qmailctl", "start").returncode == 0
    with hanging.hanging(home.home_of(slow)):
        for address in (slow, f"{slow}-list", quick):
            text = "subject: letter 1\n\nx\n"
            assert home.run("qmail-inject", PREFIX + address, text=text, user=quick).returncode == 0

        home.wait(lambda: 1 in chaos.letters_of(home, quick), "the other user waits")
        home.wait(lambda: len(chaos.queued(home, "mess")) == 2, "not only two letters wait")
    # Who waited there has heard an error now; the letter is not lost.
    assert home.run("qmailctl", "doqueue").returncode == 0
    home.wait(lambda: 1 in chaos.letters_of(home, slow), "it never came")
    assert home.run("qmailctl", "stop").returncode == 0
