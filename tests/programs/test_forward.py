from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.commands import MESSAGE, Commands

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


DELIVERED_TO = b"Delivered-To: aku@example.org\n"


def test_a_message_is_queued_once_for_all_addresses(commands: Commands) -> None:
    done = commands.run("forward", "ann@example.net", "bob@example.net")

    assert done.returncode == 0
    assert done.stderr.startswith(b"forward: qp ")
    (queued,) = commands.queued()
    assert queued == (
        DELIVERED_TO + MESSAGE,
        b"Fsue@example.org\0Tann@example.net\0Tbob@example.net\0\0",
    )


@pytest.mark.parametrize("name", ["NEWSENDER", "DTLINE"])
def test_outside_a_delivery_it_fails_for_good(commands: Commands, name: str) -> None:
    done = commands.run("forward", "ann@example.net", environ={name: None})

    assert (done.returncode, done.stderr) == (100, f"forward: fatal: {name} not set\n".encode())
    assert commands.queued() == []


@pytest.mark.parametrize(
    ("ending", "code", "text"),
    [
        ("exit 31", 100, b"mail server permanently rejected message (#5.3.0)"),
        ("exit 53", 111, b"qq write error or disk full (#4.3.0)"),
        ("kill -9 $$", 111, b"qq crashed (#4.3.0)"),
        ("printf %s 'Dno (#5.7.1)' >&6; exit 82", 100, b"no (#5.7.1)"),
    ],
)
def test_what_the_queue_says_is_passed_on(
    launchers: str, tmp_path: Path, ending: str, code: int, text: bytes
) -> None:
    done = Commands(launchers, tmp_path, ending).run("forward", "ann@example.net")

    assert (done.returncode, done.stderr) == (code, b"forward: fatal: " + text + b"\n")
