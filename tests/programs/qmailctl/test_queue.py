"""qmailctl queue."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.support.private_home import why_not

from pyqmail.queue import layout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.qmailctl import Qmailctl

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


def queue_message(home: Path, number: int, reverse_path: bytes) -> None:
    """Put a message into the queue that is preprocessed and waits."""
    queue = home / "queue"
    for path, text in (
        (layout.message_path(number), b"x" * 246),
        (layout.info_path(number), b"F" + reverse_path + b"\0"),
    ):
        (queue / path).write_bytes(text)
        os.utime(queue / path, (1735873506, 1735873506))
        os.chown(queue / path, home.stat().st_uid, -1)


def test_the_queue_is_listed(qmailctl: Qmailctl) -> None:
    queue_message(qmailctl.home, 53, b"aku@example.org")

    plain, as_json = qmailctl("queue", "list"), qmailctl("queue", "list", "--json")

    assert plain.stdout == "53\t3 Jan 2025 03:05:06 -0000\t246\taku@example.org\t\n"
    assert json.loads(as_json.stdout) == [
        {
            "number": 53,
            "date": "3 Jan 2025 03:05:06 -0000",
            "size": 246,
            "sender": "aku@example.org",
            "state": "",
        }
    ]


def test_what_was_accepted_while_nothing_runs_is_listed_too(qmailctl: Qmailctl) -> None:
    queue = qmailctl.home / "queue"
    queue_message(qmailctl.home, 53, b"")
    (queue / layout.info_path(53)).unlink()
    (queue / "todo" / "53").write_bytes(b"u7\0p9\0Fann@example.org\0Taku\0")
    os.utime(queue / "todo" / "53", (1735873506, 1735873506))

    done = qmailctl("queue", "list")

    assert done.stdout == "53\t3 Jan 2025 03:05:06 -0000\t246\tann@example.org\tnew\n"


def test_a_sender_cannot_write_on_the_terminal(qmailctl: Qmailctl) -> None:
    queue_message(qmailctl.home, 53, b"[bold]a[/b]\x1b[2J\t\xff@example.org")

    plain, seen = qmailctl("queue", "list"), qmailctl.on_a_terminal("queue", "list")

    shown = r"[bold]a[/b]\x1b[2J\t\xff@example.org"
    assert plain.stdout.split("\t")[3] == shown
    assert shown in seen


def test_people_see_a_table_or_that_there_is_nothing(qmailctl: Qmailctl) -> None:
    nothing = qmailctl.on_a_terminal("queue", "list")
    queue_message(qmailctl.home, 53, b"aku@example.org")

    table = qmailctl.on_a_terminal("queue", "list")

    assert nothing == "No message waits.\r\n"
    assert "number" in table
    assert "aku@example.org" in table


def test_a_message_that_cannot_be_read_hides_no_other(qmailctl: Qmailctl) -> None:
    queue_message(qmailctl.home, 53, b"aku@example.org")
    queue_message(qmailctl.home, 54, b"kamu@example.org")
    (qmailctl.home / "queue" / layout.message_path(53)).unlink()

    lines = sorted(qmailctl("queue", "list").stdout.splitlines())

    assert lines[0] == "53\t\t\t\ttrouble: file does not exist"
    assert lines[1].startswith("54\t")


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be a stranger to the home")
def test_a_stranger_is_told_who_may_look_at_the_queue(qmailctl: Qmailctl) -> None:
    stranger = {"user": 1, "group": 1, "extra_groups": [], "cwd": "/"}
    environ = {"PATH": os.defpath, "QMAILHOME": str(qmailctl.home)}

    listed = subprocess.run(
        [*qmailctl.argv, "queue", "list"],
        capture_output=True,
        check=False,
        env=environ,
        **stranger,
    )
    checked = subprocess.run(
        [*qmailctl.argv, "check"], capture_output=True, check=False, env=environ, **stranger
    )

    assert listed.returncode == 100
    assert listed.stderr.decode() == (
        f"qmailctl: fatal: {qmailctl.home}/queue is not for everybody: "
        "run this as nobody or as root\n"
    )
    assert (
        checked.stdout == b"warning\tqueue\tcannot be looked at: run this as root or as the owner\n"
    )


def test_a_home_without_a_queue_is_told_of(qmailctl: Qmailctl) -> None:
    (qmailctl.home / "queue").rename(qmailctl.home / "elsewhere")

    done = qmailctl("queue", "list")

    assert (done.returncode, done.stderr) == (
        100,
        f"qmailctl: fatal: there is no {qmailctl.home}/queue: run qmailctl setup\n",
    )
