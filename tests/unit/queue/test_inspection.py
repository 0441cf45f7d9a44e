from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import make_home

from pyqmail.errors import TransientFailure
from pyqmail.queue.inspection import (
    Listed,
    Trouble,
    count_files,
    describe,
    describe_recipient,
    list_messages,
    list_new_messages,
    list_recipients,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> str:
    home = make_home(str(tmp_path))
    queue = tmp_path / "queue"
    (queue / "mess/5/28").write_bytes(b"message")
    (queue / "info/5/28").write_bytes(b"Fsue@example.net\0")
    (queue / "local/5/28").write_bytes(b"Da\0Xb\0Tc\0Td without end")
    (queue / "remote/5/28").write_bytes(b"Te\0")
    os.utime(queue / "info/5/28", (0, 1_000_000_000))
    return home


def test_a_message_is_listed_with_its_recipients(home: str) -> None:
    (message,) = list_messages(home)

    assert message == Listed(28, 1_000_000_000, 7, b"sue@example.net", bouncing=False)
    assert list(list_recipients(home, 28)) == [
        ("local", b"a", True),
        ("local", b"c", False),
        ("remote", b"e", False),
    ]


def test_a_message_that_has_just_gone_is_trouble(home: str, tmp_path: Path) -> None:
    (tmp_path / "queue/mess/5/28").unlink()

    assert list(list_messages(home)) == [Trouble(28, b"file does not exist")]


def test_what_qmail_send_has_not_seen_to_is_listed_apart(home: str, tmp_path: Path) -> None:
    for number in (28, 30):  # 28 is preprocessed: its todo is about to go
        (tmp_path / f"queue/todo/{number}").write_bytes(b"u7\0p9\0Fann@example.net\0Ta\0")
    (tmp_path / "queue/mess/7/30").write_bytes(b"new message")
    os.utime(tmp_path / "queue/todo/30", (0, 1_000_000_000))

    assert list(list_new_messages(home)) == [
        Listed(30, 1_000_000_000, 11, b"ann@example.net", bouncing=False)
    ]


def test_without_todo_nothing_new_can_be_listed(home: str, tmp_path: Path) -> None:
    (tmp_path / "queue/todo").rmdir()

    with pytest.raises(TransientFailure, match="unable to opendir todo: file does not exist"):
        list(list_new_messages(home))


def test_the_line_of_a_message_is_qmails() -> None:
    message = Listed(28, 1_000_000_000, 18, b"s\xe4\t@x", bouncing=True)

    assert describe(message) == b"9 Sep 2001 01:46:40 GMT  #28  18  <s__@x>  bouncing\n"


@pytest.mark.parametrize(("done", "mark"), [(True, b"  done"), (False, b"")])
def test_the_line_of_a_recipient_is_qmails(done: bool, mark: bytes) -> None:  # noqa: FBT001
    line = describe_recipient("remote", b"a\xf6 b", done=done)

    assert line == mark + b"\tremote\ta_ b\n"


def test_only_regular_files_are_counted(home: str, tmp_path: Path) -> None:
    (tmp_path / "queue/mess/5/.x").write_bytes(b"")
    (tmp_path / "queue/mess/5/link").symlink_to("28")

    assert count_files(f"{home}/queue/mess") == 2


def test_without_a_queue_the_reason_is_said(tmp_path: Path) -> None:
    with pytest.raises(TransientFailure) as failure:
        list(list_messages(str(tmp_path / "nowhere")))

    assert failure.value.text == b"unable to chdir: file does not exist"
