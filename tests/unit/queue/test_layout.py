from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import make_home, private_roles

from pyqmail.queue import layout

if TYPE_CHECKING:
    from pathlib import Path


def test_a_message_lies_where_its_number_says() -> None:
    assert layout.message_path(457) == "mess/20/457"
    assert layout.info_path(457) == "info/20/457"
    assert layout.recipients_path("remote", 457) == "remote/20/457"
    assert layout.todo_path(457) == "todo/457"


@pytest.mark.parametrize(
    ("name", "number"),
    [("28", 28), ("", None), ("x", None), ("28x", None), ("-1", None), ("٣", None), ("2_8", None)],
)
def test_only_digits_name_a_message(name: str, number: int | None) -> None:
    assert layout.parse_number(name) == number


def test_a_queue_has_the_modes_of_qmail(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))

    modes = {
        name: oct(stat.S_IMODE(os.stat(f"{home}/queue/{name}").st_mode))
        for name in (
            *("", "pid", "mess", "mess/22", "intd", "todo", "info/0", "bounce"),
            *("lock", "lock/sendmutex", "lock/tcpto", "lock/trigger"),
        )
    }

    assert modes == {
        "": "0o750",
        "pid": "0o700",
        "mess": "0o750",
        "mess/22": "0o750",
        "intd": "0o700",
        "todo": "0o750",
        "info/0": "0o700",
        "bounce": "0o700",
        "lock": "0o750",
        "lock/sendmutex": "0o600",
        "lock/tcpto": "0o644",
        "lock/trigger": "0o622",
    }
    assert stat.S_ISFIFO(os.stat(f"{home}/queue/lock/trigger").st_mode)
    assert os.stat(f"{home}/queue/lock/tcpto").st_size == 1024


def test_making_a_queue_again_keeps_what_is_in_it(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    (tmp_path / "queue/mess/5/28").write_bytes(b"message")
    (tmp_path / "queue/pid").chmod(0o777)

    layout.make_queue(home, private_roles(home))

    assert (tmp_path / "queue/mess/5/28").read_bytes() == b"message"
    assert stat.S_IMODE((tmp_path / "queue/pid").stat().st_mode) == 0o700
